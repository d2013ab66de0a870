"""Label image folders with the FrozenSeg open-vocabulary panoptic model.

Everything that a command does, a function here does with the same defaults. Importing them is
quick: what is heavy is imported when a function is called.
"""

from frozenseg_label.annotation.annotate_folder import annotate
from frozenseg_label.annotation.annotate_summary import AnnotateSummary
from frozenseg_label.demo.write_demo import write_demo
from frozenseg_label.evaluation.evaluate_labels import evaluate
from frozenseg_label.exchange.export_labels import ExportSummary, export_labels
from frozenseg_label.exchange.import_labels import ImportSummary, import_labels
from frozenseg_label.review.calibrate import calibrate, undo_calibrate
from frozenseg_label.review.review_run import open_review, queue_csv, review_page, save_review
from frozenseg_label.training.train import TrainSummary, train
from frozenseg_label.version import __version__
from frozenseg_label.words.check_vocabulary import VocabularyCheck, check_vocabulary
from frozenseg_label.words.map_vocabulary import map_vocabulary
from frozenseg_label.words.merge_vocabularies import merge_vocabularies

__all__ = [
    "AnnotateSummary",
    "ExportSummary",
    "ImportSummary",
    "TrainSummary",
    "VocabularyCheck",
    "__version__",
    "annotate",
    "calibrate",
    "check_vocabulary",
    "evaluate",
    "export_labels",
    "import_labels",
    "map_vocabulary",
    "merge_vocabularies",
    "open_review",
    "queue_csv",
    "review_page",
    "save_review",
    "train",
    "undo_calibrate",
    "write_demo",
]
