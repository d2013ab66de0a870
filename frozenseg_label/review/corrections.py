"""Corrections on their way from FiftyOne back into the run folder."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frozenseg_label.errors import FormatError, ImageError, ReviewError
from frozenseg_label.formats.coco_panoptic import measure
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import UNLABELLED, PanopticMap
from frozenseg_label.review.edits import Change, apply_edits, is_untouched
from frozenseg_label.review.fiftyone_dataset import find_dataset, rank, regions_of, reload_image
from frozenseg_label.review.opened_labels import key_of, labels_by_key, read_opened
from frozenseg_label.review.queue import review_queue
from frozenseg_label.review.views import SEGMENTS
from frozenseg_label.runs.entry import Entry, Labels
from frozenseg_label.runs.ownership import fuse, withdraw_rejected
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageReport:
    """What a save did to one image.

    Attributes:
        image: its name in the run folder.
        state: how far a person has looked at it.
        changes: segment by segment; empty where the image as a whole was accepted, no more.
        problem: why its corrections could not be saved; they are still in FiftyOne. None: they are
            saved.
    """

    image: str
    state: str
    changes: tuple[Change, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class SaveReport:
    """What a save did.

    Attributes:
        output: the run folder.
        images: those that people touched since the last save.
        untouched: how many they did not.
    """

    output: Path
    images: tuple[ImageReport, ...]
    untouched: int


def save_corrections(run: RunFolder) -> SaveReport:
    """Write what people did in FiftyOne into the run folder, image by image, each whole or not.

    Args:
        run: opened to correct it.
    """
    dataset = find_dataset(run)
    if dataset is None:
        raise ReviewError(
            f"{run.path} is not open for review: FiftyOne has no dataset of it; open it first: "
            f"frozenseg-label review {run.path}"
        )
    reports: list[ImageReport] = []
    outdated: list[str] = []
    opened = dict(zip(*dataset.values(["image", "opened"]), strict=True))
    then = labels_by_key(run, opened)
    for sample in dataset.iter_samples():
        entry = run.entry(sample["image"])
        if entry is None or entry.labels is None:
            continue
        report = _save_image(run, sample, entry, then.get(entry.image))
        if report is not None:
            reports.append(report)
        if report.problem is None if report else key_of(entry.labels) != sample["opened"]:
            outdated.append(entry.image)
    run.finish()
    _show(run, dataset, outdated)
    return SaveReport(run.path, tuple(reports), len(opened) - len(reports))


def _save_image(
    run: RunFolder, sample: "fo.Sample", entry: Entry, then: Labels | None
) -> ImageReport | None:
    """Save one image's corrections; None where there are none."""
    image, now = entry.image, entry.labels
    base = read_opened(run.path, image, then, run.vocabulary) if then is not None else None
    if now is None or then is None or base is None:
        problem = "the labels that were opened for review are gone; restore the run folder"
        return ImageReport(image, "", problem=problem)
    regions = regions_of(sample[SEGMENTS], (then.height, then.width))
    tags = frozenset(sample.tags)
    if is_untouched(base, regions, tags, run.vocabulary):
        return None
    try:
        edited = apply_edits(base, regions, tags, run.vocabulary, state=then.state)
        panoptic, state = edited.panoptic, edited.state
        if key_of(now) != key_of(then):
            current = run.read_map(image)
            panoptic = beside_later_labels(panoptic, current, now, run.vocabulary)
        if now.state != state or not _is_same(panoptic, run.read_map(image)):
            record = ImageRecord(
                Path(run.manifest.root or "/") / image, image, entry.size, entry.mtime_ns
            )
            run.correct(record, panoptic, state=state)
    except (ReviewError, ImageError, FormatError) as error:
        return ImageReport(image, now.state, problem=f"{error}")
    return ImageReport(image, state, edited.changes)


def beside_later_labels(
    edited: PanopticMap, current: PanopticMap, now: Labels, vocabulary: Vocabulary
) -> PanopticMap:
    """Corrections of labels that have been replaced since: they stay, and all else is new.

    Segments that were rejected are in the map, so that they are remembered, where pixels are free.
    """
    kept, remembered = withdraw_rejected(edited, vocabulary)
    fused = fuse(current, kept, (*now.rejected, *remembered), vocabulary)
    ids, segments = fused.ids.copy(), list(fused.segments)
    refused = [segment for segment in edited.segments if segment.state == "rejected"]
    last = max((segment.id for segment in (*segments, *edited.segments)), default=0)
    for segment, memory in zip(refused, remembered, strict=True):
        free = memory.mask() & (ids == UNLABELLED)  # [H, W]
        if memory not in now.rejected and free.any():
            last += 1
            ids[free] = last
            segments.append(replace(segment, id=last))
    measured = measure(ids)
    return PanopticMap(
        ids, tuple(replace(s, area=measured[s.id][0], bbox=measured[s.id][1]) for s in segments)
    )


def _is_same(one: PanopticMap, other: PanopticMap) -> bool:
    by_id = {segment.id: segment for segment in other.segments}
    same = {segment.id: segment for segment in one.segments} == by_id
    return same and np.array_equal(one.ids, other.ids)


def _show(run: RunFolder, dataset: "fo.Dataset", images: Sequence[str]) -> None:
    """Let FiftyOne show the labels as they stand now."""
    wanted = set(images)
    queue = review_queue(run)
    by_image = {queued.image: queued for queued in queue}
    for sample in dataset.iter_samples():
        queued = by_image.get(sample["image"])
        if sample["image"] in wanted and queued is not None:
            reload_image(run, sample, queued)
    rank(dataset, queue)
