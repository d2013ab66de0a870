"""Corrections on their way from FiftyOne back into the run folder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frozenseg_label.errors import FormatError, ImageError, ReviewError
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import UNLABELLED, PanopticMap
from frozenseg_label.review.app.database import require_database
from frozenseg_label.review.app.datasets import find_dataset
from frozenseg_label.review.app.fiftyone_dataset import rank
from frozenseg_label.review.app.samples import regions_of, reload_image
from frozenseg_label.review.app.views import SEGMENTS, save_views
from frozenseg_label.review.corrections.apply_edits import apply_edits
from frozenseg_label.review.corrections.opened_labels import key_of, labels_by_key, read_opened
from frozenseg_label.review.corrections.regions import Change, is_untouched
from frozenseg_label.review.queue.review_queue import review_queue
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.ownership import fuse, withdraw_rejected
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo


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


def save_review(output: Path) -> SaveReport:
    """Open the run folder and save; a second time changes nothing."""
    require_database()
    with RunFolder.open_to_correct(output) as run:
        return save_corrections(run)


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
    outdated: dict[str, datetime] = {}
    opened = dict(zip(*dataset.values(["image", "opened"]), strict=True))
    then = labels_by_key(run, opened)
    for sample in dataset.iter_samples():
        entry = run.entry(sample["image"])
        if entry is None or entry.labels is None:
            continue
        report = _save_image(run, sample, entry, then.get(entry.image))
        if report is not None:
            reports.append(report)
        saved = report is not None and report.problem is None
        if saved or (report is None and key_of(entry.labels) != sample["opened"]):
            outdated[sample.id] = sample.last_modified_at
    run.finish()
    _show(run, dataset, outdated, then)
    return SaveReport(run.path, tuple(reports), len(opened) - len(reports))


def _save_image(
    run: RunFolder, sample: "fo.Sample", entry: Entry, then: Labels | None
) -> ImageReport | None:
    """Save one image's corrections; None where there are none."""
    image, now = entry.image, entry.labels
    base = read_opened(run.path, image, then, run.vocabulary) if then is not None else None
    if now is None or then is None or base is None:
        problem = (
            "the labels that were opened for review are gone from the run folder; restore them, or "
            "delete the image from FiftyOne's dataset and open the run again"
        )
        return ImageReport(image, "" if now is None else now.state, problem=problem)
    regions = regions_of(sample[SEGMENTS], (then.height, then.width))
    tags = frozenset(sample.tags)
    if is_untouched(base, regions, tags, run.vocabulary):
        return None
    try:
        proposed = then.proposed.segments_info if then.proposed is not None else ()
        last_id = max((info.id for info in proposed), default=0)
        edited = apply_edits(base, regions, tags, run.vocabulary, state=then.state, last_id=last_id)
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
    return PanopticMap.of(ids, segments)


def _is_same(one: PanopticMap, other: PanopticMap) -> bool:
    by_id = {segment.id: segment for segment in other.segments}
    same = {segment.id: segment for segment in one.segments} == by_id
    return same and np.array_equal(one.ids, other.ids)


def _show(
    run: RunFolder,
    dataset: "fo.Dataset",
    images: Mapping[str, datetime],
    then: Mapping[str, Labels],
) -> None:
    """Let FiftyOne show the labels as they stand now.

    Args:
        images: ids of samples, and when each was changed last before it was saved. What people did
            to one after that stays: the next save takes it.
        then: the labels that they show, by image.
    """
    queue = review_queue(run)
    by_image = {queued.image: queued for queued in queue}
    for id_ in dataset.select(list(images)).values("id"):
        sample = dataset[id_]
        queued = by_image.get(sample["image"])
        if queued is not None and sample.last_modified_at == images[id_]:
            reload_image(run, sample, queued, then.get(queued.image))
    rank(dataset, queue)
    save_views(dataset)  # FiftyOne makes the list of a view of segments when the view is saved
