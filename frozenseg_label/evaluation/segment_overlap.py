"""How the segments of two maps of one image overlap: the table that most figures are read from.

P predicted segments, T true ones. Row and column 0 are pixels without a label.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.panoptic import PanopticMap, Segment

PAIRED_ABOVE = 0.5  # IoU; at most one partner can exceed one half (arXiv 1801.00868, theorem 1)
IGNORED_ABOVE = 0.5  # share of a predicted segment on void or crowd; panopticapi, evaluation.py


class Pair(NamedTuple):
    """A predicted and a true segment of one class that are the same; places in the two lists."""

    predicted: int
    true: int
    iou: float


@dataclass(frozen=True)
class SegmentOverlap:
    """The pixels that segments of two maps share.

    Attributes:
        predicted, truth: the segments, P and T of them.
        pixels: int64 [1 + P, 1 + T], pixels of each predicted segment in each true one.
        void_is_truth: True: true pixels without a label mean "nothing is here", as after a review;
            False: nobody knows what is there, and they do not count.
    """

    predicted: tuple[Segment, ...]
    truth: tuple[Segment, ...]
    pixels: NDArray[np.int64]
    void_is_truth: bool = False

    @cached_property
    def predicted_areas(self) -> NDArray[np.int64]:
        """Return the pixels of the predicted segments [P], also those on unlabelled truth."""
        areas: NDArray[np.int64] = self.pixels[1:].sum(axis=1)
        return areas

    @cached_property
    def on_void(self) -> NDArray[np.int64]:
        """Return the pixels of the predicted segments [P] where nobody knows what is there."""
        return self.pixels[1:, 0] * (not self.void_is_truth)

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """Return the IoU [P, T] of all pairs, of any class; pixels `on_void` do not count."""
        both = self.pixels[1:, 1:]
        judged = self.predicted_areas - self.on_void  # [P]
        union = judged[:, None] + self.pixels[:, 1:].sum(axis=0)[None] - both
        iou = np.zeros(both.shape)
        np.divide(both, union, out=iou, where=union > 0)
        return iou

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Return the pairs of one class with IoU above one half; crowds have no partner."""
        rows, columns = np.nonzero(self.iou > PAIRED_ABOVE)
        return tuple(
            Pair(p, t, float(self.iou[p, t]))
            for p, t in zip(rows.tolist(), columns.tolist(), strict=True)
            if self.predicted[p].category_id == self.truth[t].category_id
            and not self.truth[t].is_crowd
        )

    @cached_property
    def missed(self) -> tuple[int, ...]:
        """Return the places of the true segments without a partner; crowds are left out."""
        paired = {pair.true for pair in self.pairs}
        return tuple(
            t for t, segment in enumerate(self.truth) if t not in paired and not segment.is_crowd
        )

    @cached_property
    def spurious(self) -> tuple[int, ...]:
        """Return the places of the predicted segments without a partner.

        Those that lie mostly on void, or on a crowd of their class, are left out. A class has one
        crowd in an image; where there are more, the last one counts, as in panopticapi.
        """
        paired = {pair.predicted for pair in self.pairs}
        crowds = {s.category_id: t for t, s in enumerate(self.truth) if s.is_crowd}
        found = []
        for p, segment in enumerate(self.predicted):
            ignored = int(self.on_void[p])
            if segment.category_id in crowds:
                ignored += int(self.pixels[p + 1, crowds[segment.category_id] + 1])
            if p not in paired and ignored <= IGNORED_ABOVE * self.predicted_areas[p]:
                found.append(p)
        return tuple(found)


def overlap_of(
    predicted: PanopticMap, truth: PanopticMap, *, void_is_truth: bool = False
) -> SegmentOverlap:
    """Count the pixels that the segments of two maps of one size share."""
    if predicted.ids.shape != truth.ids.shape:
        raise ValueError(f"maps of sizes {predicted.ids.shape} and {truth.ids.shape}")
    rows, columns = len(predicted.segments) + 1, len(truth.segments) + 1
    codes = _places(predicted) * columns + _places(truth)  # [H, W]
    pixels = np.bincount(codes.ravel(), minlength=rows * columns).reshape(rows, columns)
    return SegmentOverlap(
        predicted.segments, truth.segments, pixels.astype(np.int64), void_is_truth
    )


def _places(panoptic_map: PanopticMap) -> NDArray[np.int64]:
    """Return the place of each pixel's segment in the list [H, W], from 1; 0 = no segment."""
    # Up to 2^24 ids, but the system gives zeros page by page, when they are written to.
    place_of = np.zeros(int(panoptic_map.ids.max(initial=0)) + 1, dtype=np.int64)
    for place, segment in enumerate(panoptic_map.segments, start=1):
        place_of[segment.id] = place
    return place_of[panoptic_map.ids]


def one_segment_per_stuff(panoptic_map: PanopticMap) -> PanopticMap:
    """Return the map with all regions of one kind of stuff as one segment.

    A run keeps a person's part and the model's part of it apart; to panoptic quality they are one.
    """
    first: dict[int, Segment] = {}
    segments = []
    # What to add to an id. As in `_places`: only pages that are written to take memory.
    step = np.zeros(int(panoptic_map.ids.max(initial=0)) + 1, dtype=np.int32)
    for segment in panoptic_map.segments:
        known = first.get(segment.category_id)
        if segment.is_thing or segment.is_crowd or known is None:
            segments.append(segment)
            if not segment.is_thing and not segment.is_crowd:
                first[segment.category_id] = segment
        else:
            step[segment.id] = known.id - segment.id
    if len(segments) == len(panoptic_map.segments):
        return panoptic_map
    return PanopticMap.of(panoptic_map.ids + step[panoptic_map.ids], segments)
