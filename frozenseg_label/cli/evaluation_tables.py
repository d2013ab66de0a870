"""The tables of `frozenseg-label evaluate`: shares in per cent, the summary last."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from frozenseg_label.evaluation.confusions import Confusion
from frozenseg_label.evaluation.evaluation_report import (
    ClassFigures,
    EvaluationReport,
    ImageFigure,
    Outcomes,
    ReviewedReport,
)
from frozenseg_label.pages.report_text import plain_text

NOTHING = "-"
WIDTH = 100  # characters, where no terminal has its own
FIGURES = {  # name shown -> field of `Figures`
    "PQ": "pq",
    "SQ": "sq",
    "RQ": "rq",
    "mIoU": "miou",
    "fwIoU": "fwiou",
    "boundary IoU": "boundary_iou",
    "mask AP": "ap",
    "mask AP50": "ap50",
    "mask AP75": "ap75",
    "mask recall at IoU .5": "recall50",
    "mask recall at IoU .75": "recall75",
    "mask recall at IoU .9": "recall90",
}
CLASS_FIGURES = {"PQ": "pq", "SQ": "sq", "RQ": "rq", "IoU": "miou", "edge": "boundary_iou"}
CLASS_FIGURES |= {"AP": "ap", "rec.5": "recall50"}


def print_comparison(report: EvaluationReport) -> None:
    """Print classes, confusions, the worst images, and at the end the figures of all."""
    console = _console()
    _print(console, "Class by class, most to mend first", _classes(report.classes))
    _print_confusions(console, "Right mask, wrong name (segments)", report.confused_segments)
    _print_confusions(console, "Confused pixels", report.confused_pixels)
    name = "PQ" if report.groups["all"].pq is not None else "mIoU"
    _print_worst(console, name, report.worst)
    table = Table("per cent", box=None, pad_edge=False)
    for group in report.groups:
        table.add_column(group, justify="right")
    table.add_row("classes that occur", *(str(f.classes) for f in report.groups.values()))
    if name == "PQ":
        table.add_row("true segments", *(str(f.segments) for f in report.groups.values()))
    for shown, field in FIGURES.items():
        values = [getattr(figures, field) for figures in report.groups.values()]
        if any(value is not None for value in values):
            table.add_row(shown, *map(_percent, values))
    title = f"{report.predicted} against {report.truth}, {report.images} images"
    _print(console, title, table)
    console.print(
        f"{_percent(report.unlabelled_truth)} % of the pixels are unlabelled in the truth and not "
        f"judged; of the others, {_percent(report.unlabelled_predicted)} % are unlabelled in the "
        "predictions.",
        soft_wrap=True,
    )
    _print_page(console, report.html)


def print_review(report: ReviewedReport) -> None:
    """Print what became of the proposals: confusions, worst images, classes and all of them."""
    console = _console()
    _print_confusions(console, "Renamed segments", report.confused, ("proposed", "reviewed"))
    _print_worst(console, "PQ", report.worst)
    table = Table("class", box=None, pad_edge=False)
    for name in ("right", "moved", "wrong class", "missed", "spurious", "PQ"):
        table.add_column(name, justify="right")
    for name, found in sorted(report.classes.items(), key=lambda item: -_to_mend(item[1])):
        table.add_row(name, *_outcomes(found))
    table.add_row("all", *_outcomes(report.total), style="bold")
    title = (
        f"What became of the proposals in {report.run}, {report.images} images that a person judged"
    )
    _print(console, title, table)
    _print_page(console, report.html)


def _console() -> Console:
    # Names of images and classes are shown as they are, brackets and colons too.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def _classes(rows: Iterable[ClassFigures]) -> Table:
    rows = sorted(rows, key=_lost, reverse=True)
    has_segments = any(row.missed is not None for row in rows)
    has_seen = any(row.seen is not None for row in rows)
    counts = {"found": "paired", "missed": "missed", "extra": "spurious"}
    figures = {
        shown: field
        for shown, field in CLASS_FIGURES.items()
        if any(getattr(row.figures, field) is not None for row in rows)
    }
    table = Table("class", box=None, pad_edge=False)
    for name in ("kind", "seen") if has_seen else ("kind",):
        table.add_column(name, no_wrap=True)
    for name in (*(counts if has_segments else ()), *figures):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = [row.name, "thing" if row.is_thing else "stuff"]
        cells += [{True: "yes", False: "no", None: NOTHING}[row.seen]] if has_seen else []
        cells += [str(getattr(row, field)) for field in counts.values()] if has_segments else []
        table.add_row(*cells, *(_percent(getattr(row.figures, f)) for f in figures.values()))
    return table


def _lost(row: ClassFigures) -> tuple[int, int]:
    return (row.missed or 0) + (row.spurious or 0), row.missed_pixels


def _to_mend(outcomes: Outcomes) -> int:
    return outcomes.moved + outcomes.wrong_class + outcomes.missed + outcomes.spurious


def _outcomes(found: Outcomes) -> list[str]:
    counts = (found.right, found.moved, found.wrong_class, found.missed, found.spurious)
    return [*map(str, counts), _percent(found.pq)]


def _print_confusions(
    console: Console,
    title: str,
    confusions: Sequence[Confusion],
    sides: tuple[str, str] = ("predicted", "truth"),
) -> None:
    table = Table(*sides, box=None, pad_edge=False)
    table.add_column("number", justify="right")
    for confusion in confusions:
        table.add_row(confusion.predicted, confusion.truth, f"{confusion.number:,}")
    if confusions:
        _print(console, title, table)


def _print_worst(console: Console, name: str, images: Sequence[ImageFigure]) -> None:
    table = Table("image", box=None, pad_edge=False)
    table.add_column(name, justify="right")
    for image in images:
        table.add_row(plain_text(image.name), _percent(image.quality))
    if images:
        _print(console, "Worst images", table)


def _print(console: Console, title: str, table: Table) -> None:
    console.print(f"{plain_text(title)}\n", style="bold", soft_wrap=True)
    console.print(table)
    console.print()


def _print_page(console: Console, page: object) -> None:
    if page is not None:
        console.print(plain_text(f"page: {page}"), soft_wrap=True)


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f}"
