"""One image's corrections on their way into the run folder: from what the App shows to a write.

Reading downwards: is anything edited (`regions`)? Which labels follow from the edits
(`apply_edits`)? Has a later run (here), or another person (`two_people`), replaced the labels that
the person saw? Then write.
"""

from dataclasses import dataclass, replace

import numpy as np

from frozenseg_label.errors import FormatError, ImageError, ReviewError
from frozenseg_label.panoptic import UNLABELLED, PanopticMap
from frozenseg_label.review.corrections.apply_edits import Change, Edited, apply_edits
from frozenseg_label.review.corrections.opened_labels import OpenedLabels
from frozenseg_label.review.corrections.regions import ShownImage, is_untouched
from frozenseg_label.review.corrections.two_people import (
    Clash,
    both_notes,
    is_of_people,
    put_together,
)
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.ownership import fuse, withdraw_rejected
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class ImageReport:
    """What a save did to one image.

    Attributes:
        image: its name in the run folder.
        state: how far a person has looked at it.
        changes: segment by segment; empty where only the image as a whole was accepted, or got a
            note.
        clashes: segments that another person had changed otherwise, and saved before; theirs stay.
        other: the name of that person; None: nobody said, or nothing clashed.
        problem: why its corrections could not be saved; they are still in FiftyOne. None: they are
            saved.
    """

    image: str
    state: str
    changes: tuple[Change, ...] = ()
    clashes: tuple[Clash, ...] = ()
    other: str | None = None
    problem: str | None = None


def correct_image(
    run: RunFolder,
    entry: Entry,
    now: Labels,
    opened: OpenedLabels,
    shown: ShownImage,
    user: str | None = None,
) -> ImageReport | None:
    """Write what people did to one image, whole or not at all; None where they did nothing.

    Args:
        run: opened to correct it.
        entry: the last journal row of the image.
        now: the labels of that row.
        opened: the labels that people started from; a later run or another person may have
            replaced them.
        shown: what the App shows now.
        user: name of the person.
    """
    if is_untouched(opened, shown):
        return None
    clashes: tuple[Clash, ...] = ()
    try:
        present = run.read_map(entry.image)
        is_later = now.current != opened.labels.current
        beside = None
        if is_later and is_of_people(opened.labels, now):
            edited, clashes = _on_top(OpenedLabels(present, now, run.vocabulary), opened, shown)
            panoptic = edited.panoptic
        else:
            edited = apply_edits(opened, shown)
            panoptic = edited.panoptic
            if is_later:
                panoptic = _beside_later_labels(panoptic, present, now, run.vocabulary)
                beside = present
        note = both_notes(opened.labels.note, now.note, shown.note)
        if (edited.state, note) != (now.state, now.note) or not _is_same(panoptic, present):
            run.correct(
                run.record(entry),
                panoptic,
                state=edited.state,
                beside=beside,
                user=user,
                note=note,
            )
    except (ReviewError, ImageError, FormatError) as error:
        return ImageReport(entry.image, now.state, problem=f"{error}")
    other = entry.user if clashes else None
    return ImageReport(entry.image, edited.state, edited.changes, clashes, other)


def _on_top(
    present: OpenedLabels, opened: OpenedLabels, shown: ShownImage
) -> tuple[Edited, tuple[Clash, ...]]:
    """Return the labels that follow where another person saved meanwhile, and what clashed."""
    together = put_together(opened, shown, present)
    edited = apply_edits(present, together.shown, together.protected)
    return edited, together.clashes


def _beside_later_labels(
    edited: PanopticMap, current: PanopticMap, now: Labels, vocabulary: Vocabulary
) -> PanopticMap:
    """Put corrections of labels that a later run replaced beside the new labels.

    Rejected segments are in the map where pixels are free, so that the run folder remembers them.
    """
    kept, remembered = withdraw_rejected(edited, vocabulary)
    # What a machine had accepted by then, the new labels say themselves.
    judged = (replace(s, state="proposed") if s.is_open else s for s in kept.segments)
    kept = replace(kept, segments=tuple(judged))
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
