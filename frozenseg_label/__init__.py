"""Label image folders with the FrozenSeg open-vocabulary panoptic model.

Everything that a command does, a function here does with the same defaults. Importing them is
quick: what is heavy is imported when a function is called, or a class is asked for.

For one picture: `load_predictor(...).label(picture)` returns a `PanopticMap`. The labels in a run
folder: `RunFolder.read`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from frozenseg_label.annotation.annotate_folder import annotate
from frozenseg_label.annotation.annotate_summary import AnnotateSummary
from frozenseg_label.annotation.merge_runs import merge_runs
from frozenseg_label.annotation.relabel import RelabelSummary, relabel
from frozenseg_label.annotation.try_words import TriedWords, WordTrial
from frozenseg_label.demo.write_demo import write_demo
from frozenseg_label.evaluation.evaluate_labels import evaluate
from frozenseg_label.exchange.export_labels import ExportSummary, export_labels
from frozenseg_label.exchange.import_labels import ImportSummary, import_labels
from frozenseg_label.inference.predictor_spec import load_predictor
from frozenseg_label.review.calibrate import calibrate, undo_calibrate
from frozenseg_label.review.review_run import (
    fiftyone_writer,
    open_review,
    queue_csv,
    review_page,
    save_review,
)
from frozenseg_label.training.train import TrainSummary, train
from frozenseg_label.version import __version__
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.words.check_vocabulary import VocabularyCheck, check_vocabulary
from frozenseg_label.words.map_vocabulary import map_vocabulary
from frozenseg_label.words.merge_vocabularies import merge_vocabularies

if TYPE_CHECKING:
    from frozenseg_label.inference.predictor import Predictor
    from frozenseg_label.panoptic import PanopticMap, Segment
    from frozenseg_label.runs.compact import compact_journal
    from frozenseg_label.runs.run_folder import RunFolder
    from frozenseg_label.vocabulary_files import parse_classes, read_vocabulary

__all__ = [
    "AnnotateSummary",
    "Category",
    "ExportSummary",
    "ImportSummary",
    "PanopticMap",
    "Predictor",
    "RelabelSummary",
    "RunFolder",
    "Segment",
    "TrainSummary",
    "TriedWords",
    "Vocabulary",
    "VocabularyCheck",
    "WordTrial",
    "__version__",
    "annotate",
    "calibrate",
    "check_vocabulary",
    "compact_journal",
    "evaluate",
    "export_labels",
    "fiftyone_writer",
    "import_labels",
    "load_predictor",
    "map_vocabulary",
    "merge_runs",
    "merge_vocabularies",
    "open_review",
    "parse_classes",
    "queue_csv",
    "read_vocabulary",
    "relabel",
    "review_page",
    "save_review",
    "train",
    "undo_calibrate",
    "write_demo",
]

_LATE = {  # they need numpy, pydantic or torch
    "PanopticMap": "panoptic",
    "Predictor": "inference.predictor",
    "RunFolder": "runs.run_folder",
    "Segment": "panoptic",
    "compact_journal": "runs.compact",
    "parse_classes": "vocabulary_files",
    "read_vocabulary": "vocabulary_files",
}


def __getattr__(name: str) -> object:
    """Import what is heavy when it is asked for."""
    if name in _LATE:
        found: object = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
