"""The judged segments of a run folder, a small row for each, in one stream."""

from collections.abc import Iterator
from dataclasses import dataclass

from frozenseg_label.errors import RunError
from frozenseg_label.evaluation.calibration import (
    LEAST_IMAGES,
    LEAST_SEGMENTS,
    Judged,
    JudgedSegments,
    signals_of,
)
from frozenseg_label.evaluation.reviewed import (
    is_in_review,
    judged_overlap,
    was_judged,
    was_proposed,
)
from frozenseg_label.progress_bar import shown
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.run_reader import RunReader


@dataclass(frozen=True)
class JudgedRun:
    """What people judged in a run.

    Attributes:
        segments: that the present weights, words and options proposed.
        images: of these segments.
        outdated: judged images that others had labelled; they do not count.
    """

    segments: JudgedSegments
    images: int
    outdated: int


def read_judged(run: RunReader, *, progress: bool) -> JudgedRun:
    """Return the judged segments of a run; RunError where there are too few to learn from.

    What a machine accepted is no judgement.
    """
    judged = [entry for entry in run.entries() if was_judged(entry) and was_proposed(entry)]
    present = [entry for entry in judged if is_present(run, entry)]
    names = {entry.image: is_in_review(entry) for entry in present}
    rows: list[Judged] = []
    for number, image in enumerate(shown(names, show=progress)):
        rows += _rows(run, image, names[image], number)
    images, outdated = len({row.image for row in rows}), len(judged) - len(present)
    if len(rows) < LEAST_SEGMENTS or images < LEAST_IMAGES:
        others = f" ({outdated} reviewed images have labels of other weights, words or options)"
        raise RunError(
            f"{run.path}: {len(rows)} proposed segments in {images} images have been reviewed"
            f"{others if outdated else ''}; calibrating needs {LEAST_SEGMENTS} in {LEAST_IMAGES} "
            "images at the least: review more, best a random part of the images"
        )
    return JudgedRun(JudgedSegments.of(rows), images, outdated)


def is_present(run: RunReader, entry: Entry) -> bool:
    """Return whether the present weights, words and options labelled an image."""
    return entry.run == run.manifest.fingerprint


def _rows(run: RunReader, image: str, still_open: bool, number: int) -> Iterator[Judged]:
    overlap = judged_overlap(run, image, still_open)
    paired = {pair.predicted for pair in overlap.pairs}
    pixels = int(overlap.pixels.sum())
    for place, segment in enumerate(overlap.predicted):
        if segment.score is not None:
            signals = signals_of(segment, pixels)
            yield Judged(number, segment.category_id, segment.score, signals, place in paired)
