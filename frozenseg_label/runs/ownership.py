"""Who owns which segment: what a person did stays, and proposals take what is left.

A segment is a person's once its state is accepted or edited. Rejected segments are void in the map
and remembered by their masks, so that the same proposal does not come back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Self

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.formats.run_lengths import pixels_of, runs_of
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment
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
    refused = [(known.get(same_name(memory.category)), _Patch.of(memory)) for memory in rejected]
    noted = [
        (segment.note, _Patch.of_segment(existing, segment))
        for segment in existing.segments
        if segment.note and not segment.is_owned
    ]
    taken = {segment.id for segment in kept}
    unused = _unused_ids(taken | {segment.id for segment in proposal.segments})
    fused = list(kept)
    for segment in proposal.segments:
        whole = _Patch.of_segment(proposal, segment)
        visible = whole.without(owned)
        if visible.area == 0 or (segment.is_thing and visible.area < min_visible * segment.area):
            continue
        masks = [mask for category_id, mask in refused if category_id == segment.category_id]
        # The refused mask may have been what was left beside a person's segment, or the whole.
        if any(max(whole.iou(mask), visible.iou(mask)) >= same_mask_iou for mask in masks):
            continue
        new_id = next(unused) if segment.id in taken else segment.id
        ids[visible.where][visible.mask] = new_id
        # A note on a proposed segment of nearly this mask goes on.
        notes = (note for note, mask in noted if visible.iou(mask) >= SAME_MASK_IOU)
        fused.append(replace(segment, id=new_id, note=next(notes, "") or segment.note))
    return PanopticMap.of(ids, fused)


@dataclass(frozen=True)
class _Patch:
    """A mask in its box: an image has many, and most of them are small.

    Attributes:
        top, left: of the box in the image, in pixels.
        mask: [h, w].
    """

    top: int
    left: int
    mask: NDArray[np.bool_]

    @classmethod
    def of(cls, memory: RejectedSegment) -> Self:
        """Return the mask that is remembered."""
        mask = memory.mask()
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return cls(0, 0, mask[:0, :0])
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(int(rows[0]), int(columns[0]), box.copy())  # lets the whole mask go

    @classmethod
    def of_segment(cls, panoptic_map: PanopticMap, segment: Segment) -> Self:
        """Return the mask of a segment of the map."""
        x, y, width, height = segment.bbox
        return cls(y, x, panoptic_map.ids[y : y + height, x : x + width] == segment.id)

    @property
    def where(self) -> tuple[slice, slice]:
        """Return rows and columns of the box, for indexing [H, W]."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @cached_property
    def area(self) -> int:
        """Return the pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    def without(self, others: NDArray[np.bool_]) -> Self:
        """Return it without the pixels of a mask of the whole image [H, W]."""
        return replace(self, mask=self.mask & ~others[self.where])

    def iou(self, other: "_Patch") -> float:
        """Return the intersection over the union of both."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        common = np.count_nonzero(self._from(top, left, other) & other._from(top, left, self))
        union = self.area + other.area - common
        return common / union if union else 0.0

    def _from(self, top: int, left: int, other: "_Patch") -> NDArray[np.bool_]:
        """Return the part of the mask in the other's box, which begins at `top` and `left`."""
        bottom = max(top, min(self.where[0].stop, other.where[0].stop))
        right = max(left, min(self.where[1].stop, other.where[1].stop))
        return self.mask[top - self.top : bottom - self.top, left - self.left : right - self.left]


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
