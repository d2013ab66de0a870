"""Who owns which segment: what a person did stays, and proposals take what is left.

A segment is a person's once its state is accepted or edited. Rejected segments are void in the map
and remembered by their masks, so that the same proposal does not come back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.formats.run_lengths import pixels_of, runs_of
from frozenseg_label.panoptic import UNLABELLED, PanopticMap
from frozenseg_label.vocabulary import Vocabulary, same_name

SAME_MASK_IOU = (
    0.5  # panoptic quality calls two segments the same above this (Kirillov et al. 2019)
)
MIN_VISIBLE = 0.5


@dataclass(frozen=True)
class RejectedSegment:
    """A proposal that a person refused.

    Attributes:
        category: name of the class; ids change with the vocabulary, names do not.
        size: height and width of the image.
        counts: the mask, as COCO's run lengths: column by column, outside and inside by turns.
        source: who had proposed it.
        score: with what probability; None where no model gave one.
        note: what a person wrote about it; empty: nothing.
    """

    category: str
    size: tuple[int, int]
    counts: tuple[int, ...]
    source: str
    score: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        pixels = self.size[0] * self.size[1]
        if min(self.counts, default=0) < 0 or sum(self.counts) != pixels:
            raise ValueError(f"run lengths that do not sum to {pixels} pixels")

    def mask(self) -> NDArray[np.bool_]:
        """Return the mask [H, W]."""
        return pixels_of(self.counts).reshape(self.size[1], self.size[0]).T


def fuse(
    proposal: PanopticMap,
    existing: PanopticMap,
    rejected: Sequence[RejectedSegment],
    vocabulary: Vocabulary,
    *,
    same_mask_iou: float = SAME_MASK_IOU,
    min_visible: float = MIN_VISIBLE,
) -> PanopticMap:
    """Put new proposals beside the segments that a person owns.

    Owned segments keep pixels, class and id; `existing`'s proposed ones go. Proposals lose the
    pixels that are owned; what remains of a stuff region stays a segment of its own, even where a
    person owns a region of the same class. A note on a proposed segment goes to its successor.

    Args:
        proposal: the model's own map.
        existing: the present map, of the same size.
        rejected: what a person refused in this image.
        vocabulary: that of both maps.
        same_mask_iou: a proposal that overlaps a rejected mask of its class this much is dropped.
        min_visible: a proposed thing of which less than this share is left is dropped: the rim
            around the person's outline of the same object is no object.
    """
    if proposal.ids.shape != existing.ids.shape:
        raise ValueError(f"maps of sizes {proposal.ids.shape} and {existing.ids.shape}")
    kept = [segment for segment in existing.segments if segment.is_owned]
    owned = np.isin(existing.ids, [segment.id for segment in kept])  # [H, W]
    ids = np.where(owned, existing.ids, UNLABELLED).astype(np.int32)  # [H, W]
    known = vocabulary.ids_by_any_name
    refused = [(known.get(same_name(memory.category)), memory.mask()) for memory in rejected]
    taken = {segment.id for segment in kept}
    unused = _unused_ids(taken | {segment.id for segment in proposal.segments})
    fused = list(kept)
    for segment in proposal.segments:
        whole = proposal.ids == segment.id  # [H, W]
        visible = whole & ~owned  # [H, W]
        area = int(visible.sum())
        if area == 0 or (segment.is_thing and area < min_visible * segment.area):
            continue
        masks = [mask for category_id, mask in refused if category_id == segment.category_id]
        # The refused mask may have been what was left beside a person's segment, or the whole.
        if any(max(_iou(whole, mask), _iou(visible, mask)) >= same_mask_iou for mask in masks):
            continue
        new_id = next(unused) if segment.id in taken else segment.id
        ids[visible] = new_id
        note = _note_there(existing, visible) or segment.note
        fused.append(replace(segment, id=new_id, note=note))
    return PanopticMap.of(ids, fused)


def _note_there(existing: PanopticMap, mask: NDArray[np.bool_]) -> str:
    """Return the note on the proposed segment that has nearly this mask [H, W]; else nothing."""
    for segment in existing.segments:
        is_noted = segment.note and not segment.is_owned
        if is_noted and _iou(existing.ids == segment.id, mask) >= SAME_MASK_IOU:
            return segment.note
    return ""


def withdraw_rejected(
    panoptic_map: PanopticMap, vocabulary: Vocabulary
) -> tuple[PanopticMap, tuple[RejectedSegment, ...]]:
    """Make rejected segments void; returns the map without them, and what to remember."""
    rejected = [segment for segment in panoptic_map.segments if segment.state == "rejected"]
    remembered = tuple(
        RejectedSegment(
            category=vocabulary.by_id(segment.category_id).name,
            size=(panoptic_map.ids.shape[0], panoptic_map.ids.shape[1]),
            counts=tuple(runs_of((panoptic_map.ids == segment.id).T.ravel()).tolist()),
            source=segment.source,
            score=segment.score,
            note=segment.note,
        )
        for segment in rejected
    )
    gone = np.isin(panoptic_map.ids, [segment.id for segment in rejected])  # [H, W]
    ids = np.where(gone, UNLABELLED, panoptic_map.ids).astype(np.int32)
    left = tuple(segment for segment in panoptic_map.segments if segment.state != "rejected")
    return PanopticMap(ids, left), remembered


def _unused_ids(used: set[int]) -> Iterator[int]:
    """Yield ids from 1 up that nobody has."""
    return (candidate for candidate in count(1) if candidate not in used)


def _iou(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = int((mask | other).sum())
    return int((mask & other).sum()) / union if union else 0.0
