"""Label image folders with the FrozenSeg open-vocabulary panoptic model.

Everything that a command does, a function here does with the same defaults. They are imported when
they are first used, so that `import frozenseg_label` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

from frozenseg_label.version import __version__

if TYPE_CHECKING:
    from frozenseg_label.annotation.annotate_folder import AnnotateSummary, annotate
    from frozenseg_label.demo.write_demo import write_demo
    from frozenseg_label.evaluation.evaluate_labels import evaluate
    from frozenseg_label.exchange.import_labels import ImportSummary, import_labels
    from frozenseg_label.review.app.save_corrections import SaveReport
    from frozenseg_label.review.review_run import open_review, queue_csv, review_page, save_review
    from frozenseg_label.training.train import TrainSummary, train

__all__ = [
    "AnnotateSummary",
    "ImportSummary",
    "SaveReport",
    "TrainSummary",
    "__version__",
    "annotate",
    "evaluate",
    "import_labels",
    "open_review",
    "queue_csv",
    "review_page",
    "save_review",
    "train",
    "write_demo",
]

_HOMES = {
    "annotate": "frozenseg_label.annotation.annotate_folder",
    "AnnotateSummary": "frozenseg_label.annotation.annotate_folder",
    "SaveReport": "frozenseg_label.review.app.save_corrections",
    "open_review": "frozenseg_label.review.review_run",
    "queue_csv": "frozenseg_label.review.review_run",
    "review_page": "frozenseg_label.review.review_run",
    "save_review": "frozenseg_label.review.review_run",
    "evaluate": "frozenseg_label.evaluation.evaluate_labels",
    "import_labels": "frozenseg_label.exchange.import_labels",
    "ImportSummary": "frozenseg_label.exchange.import_labels",
    "train": "frozenseg_label.training.train",
    "TrainSummary": "frozenseg_label.training.train",
    "write_demo": "frozenseg_label.demo.write_demo",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
