"""The images that agree least, and a page that shows their labels side by side."""

import heapq
from collections.abc import Iterator
from pathlib import Path

from frozenseg_label.evaluation.confusions import confused_segments
from frozenseg_label.evaluation.evaluation_report import EvaluationReport, ImageFigure
from frozenseg_label.evaluation.pairing import Pairing
from frozenseg_label.evaluation.segment_overlap import SegmentOverlap, overlap_of
from frozenseg_label.pages.html_report import write_html_report
from frozenseg_label.pages.report_image import Figure, ReportImage, ReportLayer, existing
from frozenseg_label.pages.report_text import ReportTable
from frozenseg_label.vocabulary import Vocabulary

ORDER = "worst first"


class WorstImages:
    """Keeps a number of images, those with the lowest quality."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[tuple[float, str]] = []  # qualities negated: the best of the worst first

    def add(self, name: str, quality: float | None) -> None:
        """Add one image; None: there is nothing in it to compare."""
        if quality is None:
            return
        heapq.heappush(self._heap, (-quality, name))
        if len(self._heap) > self._count:
            heapq.heappop(self._heap)

    def images(self) -> tuple[ImageFigure, ...]:
        """Return the images, the worst first."""
        ordered = sorted((-negated, name) for negated, name in self._heap)
        return tuple(ImageFigure(name, quality) for quality, name in ordered)


def write_comparison_pages(html: Path, pairing: Pairing, report: EvaluationReport) -> Path:
    """Write the page of the report's worst images, on grey where there is no picture.

    Args:
        html: folder to write.
    """
    vocabulary = pairing.common.vocabulary
    name = "PQ" if pairing.predicted.has_segments and pairing.truth.has_segments else "mIoU"

    def images() -> Iterator[ReportImage]:
        for worst in report.worst:
            paired = pairing.read(worst.name)
            yield ReportImage(
                name=worst.name,
                path=existing(pairing.picture(worst.name)),
                layers=(
                    ReportLayer("predicted", paired.predicted),
                    ReportLayer("truth", paired.truth),
                ),
                figures=(Figure(name, 100 * worst.quality, worst="lowest"),),
                notes=confusion_notes(overlap_of(paired.predicted, paired.truth), vocabulary),
            )

    title = f"{report.predicted.name} against {report.truth.name}"
    return write_html_report(html, title, vocabulary, images(), _tables(report), order=ORDER)


def confusion_notes(overlap: SegmentOverlap, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return a sentence for each segment with a right mask and a wrong class."""
    notes = []
    for p, t in confused_segments(overlap):
        names = [
            vocabulary.by_id(segment.category_id).name
            for segment in (overlap.predicted[p], overlap.truth[t])
        ]
        pixels = int(overlap.pixels[p + 1, t + 1])
        notes.append(f"{names[0]} where the truth is {names[1]}: {pixels:,} pixels")
    return tuple(notes)


def _tables(report: EvaluationReport) -> list[ReportTable]:
    columns = ("PQ", "SQ", "RQ", "mIoU", "fwIoU", "boundary IoU", "AP", "recall .5")
    fields = ("pq", "sq", "rq", "miou", "fwiou", "boundary_iou", "ap", "recall50")
    groups, classes = [], []
    for name, figures in report.groups.items():
        values = [_percent(getattr(figures, field)) for field in fields]
        groups.append((name, figures.classes, *values))
    for row in report.classes:
        values = [_percent(getattr(row.figures, field)) for field in fields]
        classes.append((row.name, row.missed, row.spurious, *values))
    tables = [
        ReportTable("Agreement, per cent", ("classes", "number", *columns), tuple(groups)),
        ReportTable(
            "Class by class", ("class", "missed", "spurious", *columns), tuple(classes), folded=True
        ),
    ]
    for title, confusions in (
        ("Right mask, wrong name", report.confused_segments),
        ("Confused pixels", report.confused_pixels),
    ):
        rows = tuple((c.predicted, c.truth, c.number) for c in confusions)
        tables.append(ReportTable(title, ("predicted", "truth", "number"), rows, folded=True))
    return tables


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
