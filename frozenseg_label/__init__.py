"""Label image folders with the FrozenSeg open-vocabulary panoptic model.

Everything that a command does, a function here does with the same defaults. A function's module is
imported when the function is first asked for: the command line passes through here, too, and it
has to answer Ctrl-C from its first moment.
"""

TYPE_CHECKING = False  # importing it from `typing` would take longer than all the rest here
if TYPE_CHECKING:
    from frozenseg_label.annotation.annotate_folder import AnnotateSummary, annotate
    from frozenseg_label.demo.write_demo import write_demo
    from frozenseg_label.evaluation.evaluate_labels import evaluate
    from frozenseg_label.exchange.export_labels import ExportSummary, export_labels
    from frozenseg_label.exchange.import_labels import ImportSummary, import_labels
    from frozenseg_label.review.review_run import open_review, queue_csv, review_page, save_review
    from frozenseg_label.training.train import TrainSummary, train
    from frozenseg_label.version import __version__

__all__ = [
    "AnnotateSummary",
    "ExportSummary",
    "ImportSummary",
    "TrainSummary",
    "__version__",
    "annotate",
    "evaluate",
    "export_labels",
    "import_labels",
    "open_review",
    "queue_csv",
    "review_page",
    "save_review",
    "train",
    "write_demo",
]

_MODULES = {
    "AnnotateSummary": "annotation.annotate_folder",
    "ExportSummary": "exchange.export_labels",
    "ImportSummary": "exchange.import_labels",
    "TrainSummary": "training.train",
    "__version__": "version",
    "annotate": "annotation.annotate_folder",
    "evaluate": "evaluation.evaluate_labels",
    "export_labels": "exchange.export_labels",
    "import_labels": "exchange.import_labels",
    "open_review": "review.review_run",
    "queue_csv": "review.review_run",
    "review_page": "review.review_run",
    "save_review": "review.review_run",
    "train": "training.train",
    "write_demo": "demo.write_demo",
}


def __getattr__(name: str) -> object:
    """Return what a module below calls by this name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that completion offers."""
    return __all__
