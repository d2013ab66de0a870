"""The model's labels against the reviewed ones: what became of each proposed segment.

The model's own map is compared with the present one. In a reviewed image, pixels without a label
are truth, too: a segment that the person removed is a spurious one. In an image that is still in
review, segments that no person has judged do not count. Segments are paired as for panoptic
quality.
"""

import logging
import reprlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import RunError
from frozenseg_label.evaluation.confusions import confused_segments, most_frequent_segments
from frozenseg_label.evaluation.evaluation_report import Outcomes, ReviewedReport
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.evaluation.segment_overlap import (
    SegmentOverlap,
    one_segment_per_stuff,
    overlap_of,
)
from frozenseg_label.evaluation.worst_images import (
    ORDER,
    WorstImages,
    confusion_notes,
)
from frozenseg_label.pages.html_report import write_html_report
from frozenseg_label.pages.report_image import Figure, ReportImage, ReportLayer, existing
from frozenseg_label.pages.report_text import ReportTable
from frozenseg_label.panoptic import UNLABELLED, PanopticMap
from frozenseg_label.progress_bar import shown
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.run_reader import RunReader

log = logging.getLogger(__name__)

# IoU below which a boundary was moved. A rim of one pixel around an object of 80 x 80 pixels, which
# fixing its neighbour leaves behind, is IoU 0.95; what a person redraws on purpose is below.
MOVED_BELOW = 0.95
CONFUSIONS = 15  # pairs of classes in the report

KINDS = ("right", "moved", "wrong_class", "missed", "spurious")


@dataclass
class OutcomeTally:
    """Counts image by image.

    Attributes:
        quality: PQ of the proposals.
        outcomes: how often, by category id and kind; a name of `Outcomes`.
        confused: pairs of the model's and the person's category ids.
    """

    quality: PanopticTally = field(default_factory=PanopticTally)
    outcomes: Counter[tuple[int, str]] = field(default_factory=Counter)
    confused: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, overlap: SegmentOverlap) -> None:
        """Count one image: proposals against the present labels; void is truth."""
        self.quality.add_overlap(overlap)
        for pair in overlap.pairs:
            kind = "moved" if pair.iou < MOVED_BELOW else "right"
            self.outcomes[overlap.truth[pair.true].category_id, kind] += 1
        renamed = confused_segments(overlap)
        for p, t in renamed:
            new, old = overlap.truth[t].category_id, overlap.predicted[p].category_id
            self.outcomes[new, "wrong_class"] += 1
            self.confused[old, new] += 1
        for t in set(overlap.missed) - {t for _, t in renamed}:
            self.outcomes[overlap.truth[t].category_id, "missed"] += 1
        for p in set(overlap.spurious) - {p for p, _ in renamed}:
            self.outcomes[overlap.predicted[p].category_id, "spurious"] += 1

    def of_class(self, category_id: int) -> Outcomes:
        """Return the counts of one class."""
        quality = self.quality.categories.get(category_id)
        counts = {kind: self.outcomes[category_id, kind] for kind in KINDS}
        return Outcomes(**counts, pq=quality.pq if quality is not None else 0.0)

    def total(self) -> Outcomes:
        """Return the counts of all classes together."""
        counts = {
            kind: sum(number for (_, of_kind), number in self.outcomes.items() if of_kind == kind)
            for kind in KINDS
        }
        return Outcomes(**counts, pq=self.quality.mean().pq)


def compare_with_review(
    path: Path, html: Path | None, images: Path | None, worst: int, progress: bool
) -> ReviewedReport:
    """Compare a run's proposals with its present labels; the arguments are those of `evaluate`."""
    with RunReader.read(path) as run:
        reviewed = [entry for entry in run.entries() if was_judged(entry)]
        judged = {entry.image: is_in_review(entry) for entry in reviewed if was_proposed(entry)}
        _refuse_nothing(run, judged, len(reviewed))
        tally, lowest = OutcomeTally(), WorstImages(worst)
        for image in shown(judged, show=progress):
            overlap = judged_overlap(run, image, judged[image])
            tally.add(overlap)
            own = PanopticTally()
            own.add_overlap(overlap)
            quality = own.mean().pq if own.categories else None
            log.debug("%s: %s", image, "empty" if quality is None else f"PQ {100 * quality:.1f} %")
            lowest.add(image, quality)
        categories = run.vocabulary.categories
        names = {category.id: category.name for category in categories}
        classes = {category.name: tally.of_class(category.id) for category in categories}
        report = ReviewedReport(
            run=path,
            images=len(judged),
            unjudged=len(reviewed) - len(judged),
            total=tally.total(),
            classes={name: found for name, found in classes.items() if found != Outcomes()},
            confused=tuple(most_frequent_segments(tally.confused, names, CONFUSIONS)),
            worst=lowest.images(),
            notes=tuple(_notes(len(reviewed) - len(judged), sum(judged.values()))),
        )
        if html is None:
            return report
        picture = run.picture if images is None else images.joinpath
        return replace(report, html=_write_pages(html, run, report, picture, judged))


def was_judged(entry: Entry) -> bool:
    """Return whether a person has looked at the image, to the end or not."""
    return entry.labels is not None and entry.labels.state in ("reviewed", "in review")


def is_in_review(entry: Entry) -> bool:
    """Return whether the image may have segments that nobody has reviewed yet."""
    return entry.labels is not None and entry.labels.state == "in review"


def was_proposed(entry: Entry) -> bool:
    """Return whether a model labelled the image before the person did."""
    return entry.run is not None or (entry.labels is not None and entry.labels.proposed is not None)


def _refuse_nothing(run: RunReader, judged: Collection[str], reviewed: int) -> None:
    if judged:
        return
    if reviewed:
        raise RunError(
            f"{run.path}: no model had labelled the {reviewed} reviewed images; annotate first, "
            "then correct"
        )
    labelled = [entry.image for entry in run.entries() if entry.labels is not None]
    raise RunError(
        f"{run.path}: none of its {len(labelled)} labelled images has been reviewed "
        f"({', '.join(map(reprlib.repr, labelled[:3]))}); correct some first"
    )


def _notes(unjudged: int, still_open: int) -> Iterator[str]:
    if unjudged:
        yield f"{unjudged} reviewed images had no labels of a model before; they do not count"
    if still_open:
        yield (
            f"{still_open} images are in review, not accepted as a whole; of these, only what a "
            "person corrected, accepted or rejected counts"
        )


def judged_overlap(run: RunReader, image: str, still_open: bool) -> SegmentOverlap:
    """Return what a person made of the proposals of an image; void is truth.

    Args:
        still_open: the image may have segments that nobody has judged; these are left out.
    """
    proposed, present = run.read_proposed(image), run.read_map(image)
    if still_open:
        proposed, present = _judged_part(proposed, present)
    return overlap_of(
        one_segment_per_stuff(proposed), one_segment_per_stuff(present), void_is_truth=True
    )


def _judged_part(proposed: PanopticMap, present: PanopticMap) -> tuple[PanopticMap, PanopticMap]:
    """Return both maps without what nobody has reviewed: segments that are still open.

    A proposal of which more than half lies there is left out as a whole: the rest, which a
    corrected neighbour took from it, is no segment.
    """
    waiting = [segment.id for segment in present.segments if segment.is_open]
    unjudged = np.isin(present.ids, waiting)  # [H, W]
    pixels = np.bincount(proposed.ids[unjudged], minlength=int(proposed.ids.max(initial=0)) + 1)
    gone = [segment.id for segment in proposed.segments if 2 * pixels[segment.id] > segment.area]
    of_model = np.where(unjudged | np.isin(proposed.ids, gone), UNLABELLED, proposed.ids)
    of_person = np.where(unjudged, UNLABELLED, present.ids)
    return _cut_to(proposed, of_model), _cut_to(present, of_person)


def _cut_to(whole: PanopticMap, ids: NDArray[np.int32]) -> PanopticMap:
    """Return the map with fewer labelled pixels [H, W], and the segments that still have some."""
    return PanopticMap.of(ids, whole.segments)


def _write_pages(
    html: Path,
    run: RunReader,
    report: ReviewedReport,
    picture: Callable[[str], Path | None],
    judged: Mapping[str, bool],
) -> Path:
    def images() -> Iterator[ReportImage]:
        for worst in report.worst:
            layers = (
                ReportLayer("proposed", run.read_proposed(worst.name)),
                ReportLayer("reviewed", run.read_map(worst.name)),
            )
            yield ReportImage(
                name=worst.name,
                path=existing(picture(worst.name)),
                layers=layers,
                figures=(Figure("PQ", 100 * worst.quality, worst="lowest"),),
                notes=confusion_notes(
                    judged_overlap(run, worst.name, judged[worst.name]), run.vocabulary
                ),
                state="in review" if judged[worst.name] else "reviewed",
            )

    rows = [("all", report.total), *report.classes.items()]
    table = ReportTable(
        "What became of the proposals",
        ("class", "right", "boundary moved", "wrong class", "missed", "spurious", "PQ"),
        tuple(
            (name, o.right, o.moved, o.wrong_class, o.missed, o.spurious, 100 * o.pq)
            for name, o in rows
        ),
    )
    title = f"{run.path.name}: the model against its reviewer"
    return write_html_report(html, title, run.vocabulary, images(), [table], order=ORDER)
