"""Shapes of another tool beside the segments of a run: what is as it left, and what was changed.

Formats lose things: polygons fill holes, class PNGs do not tell segments apart. A segment whose
shape is what the format makes of it is unchanged, and gets its own pixels back. Of a changed shape,
pixels that only the format had added are taken away again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from frozenseg_label.exchange.export_losses import CORNERS_TOO
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.shapes import (
    ImageShapes,
    OnTop,
    Overlaps,
    Shape,
    drawing_order,
    filled,
    overlaps_of,
    shape_of,
)
from frozenseg_label.formats.yolo_segmentation import segment_polygon
from frozenseg_label.panoptic import IMPORTED, UNLABELLED, PanopticMap, Segment
from frozenseg_label.runs.ownership import SAME_MASK_IOU


@dataclass(frozen=True)
class Restored:
    """The shapes of an image as a map.

    Attributes:
        panoptic_map: with ids of its own.
        kept: by id there, the segments of the run of which the format could tell nothing.
        overlaps: what shapes lost to others.
    """

    panoptic_map: PanopticMap
    kept: Mapping[int, Segment]
    overlaps: Overlaps


@dataclass(frozen=True)
class ShapeCounts:
    """What became of the shapes of an image.

    Attributes:
        kept: segments of the run that are left as they are: the labels could not tell them.
        overlaps: what shapes lost to others.
    """

    kept: int
    overlaps: Overlaps


def restored(
    found: ImageShapes, current: PanopticMap, left: Sequence[Segment], on_top: OnTop
) -> Restored:
    """Return what shapes say of an image whose labels in the run are known.

    Args:
        found: with category ids of the run.
        current: the labels in the run, of the same size.
        left: segments of the run of which the shapes say nothing; they are left as they are.
        on_top: which of two shapes has the pixels that both claim.
    """
    exported = _Exported(current)
    sent = replace(current, segments=tuple(s for s in current.segments if s not in left))
    shapes: list[Shape] = []
    for shape in found.shapes:
        shapes += _of_segments(shape, sent) if shape.is_region else [exported.restored(shape)]
    ids = np.zeros(current.ids.shape, dtype=np.int32)  # [H, W]
    for place in drawing_order(shapes, on_top):
        shapes[place].cut(ids)[shapes[place].mask] = place + 1
    overlaps = overlaps_of(shapes, ids)
    segments = [
        Segment(
            id=number,
            category_id=shape.category_id,
            is_thing=True,  # the run's own kind is put in by whoever knows the vocabulary
            source=IMPORTED,
            state="accepted",
            is_crowd=bool(shape.is_crowd),
        )
        for number, shape in enumerate(shapes, start=1)
    ]
    whole, kept = beside(PanopticMap.of(ids, segments), current, left)
    return Restored(whole, kept, overlaps)


def beside(
    labels: PanopticMap, current: PanopticMap, left: Sequence[Segment]
) -> tuple[PanopticMap, Mapping[int, Segment]]:
    """Return labels with segments of the run of which they say nothing, and these by their new id.

    They have the pixels that no other segment has. One that has a counterpart (IoU above 0.5) of
    its class is not left: a person drew it.
    """
    if not left:
        return labels, {}
    areas = {segment.id: segment for segment in labels.segments}
    ids, kept = labels.ids.copy(), {}
    for number, segment in enumerate(left, start=max(areas, default=0) + 1):
        x, y, width, height = segment.bbox
        box = slice(y, y + height), slice(x, x + width)
        here = current.ids[box] == segment.id  # [h, w]
        under = labels.ids[box][here]
        for id_, common in zip(*np.unique(under, return_counts=True), strict=True):
            other = areas.get(int(id_))
            if other is None or other.category_id != segment.category_id:
                continue
            if common > SAME_MASK_IOU * (segment.area + other.area - common):
                break
        else:
            kept[number] = segment
            ids[box][here & (labels.ids[box] == UNLABELLED)] = number
    added = (replace(segment, id=number) for number, segment in kept.items())
    return PanopticMap.of(ids, [*labels.segments, *added]), kept


class _Exported:
    """The segments of an image, and what a format makes of them."""

    def __init__(self, current: PanopticMap) -> None:
        self._image = ExportImage(Place("", "", ""), 1, current, "unseen")
        self._segments = current.segments
        self._filled: dict[int, NDArray[np.bool_]] = {}

    def restored(self, shape: Shape) -> Shape:
        """Return a shape as the run has it: holes that the format filled are there again."""
        same = self._same_as(shape)
        if same is not None:
            x, y, _, _ = same.bbox
            is_crowd = same.is_crowd if shape.is_crowd is None else shape.is_crowd
            return replace(shape, mask=self._image.boxed_mask(same), x=x, y=y, is_crowd=is_crowd)
        before = self._before(shape) if shape.is_polygon else None
        if before is None:
            return shape
        x, y, w, h = before.bbox
        added = np.zeros(self._image.panoptic_map.ids.shape, dtype=bool)  # [H, W]
        added[y : y + h, x : x + w] = self._outline(before) & ~self._image.boxed_mask(before)
        less = shape_of(shape.mask & ~shape.cut(added), shape.category_id, shape.x, shape.y)
        return shape if less is None else replace(shape, mask=less.mask, x=less.x, y=less.y)

    def _same_as(self, shape: Shape) -> Segment | None:
        """Return the segment that would leave as just this shape."""
        height, width = shape.mask.shape
        for segment in self._segments:
            is_near = segment.bbox == (shape.x, shape.y, width, height)
            if not is_near or segment.category_id != shape.category_id:
                continue
            if np.array_equal(self._image.boxed_mask(segment), shape.mask):
                return segment
            if shape.is_polygon and np.array_equal(self._outline(segment), shape.mask):
                return segment
        return None

    def _before(self, shape: Shape) -> Segment | None:
        """Return the segment that a changed shape was; the same class comes first."""
        ious = [(self._iou(shape, segment), segment) for segment in self._segments]
        alike = [
            (segment.category_id == shape.category_id, iou, place)
            for place, (iou, segment) in enumerate(ious)
            if iou > SAME_MASK_IOU
        ]
        return self._segments[max(alike)[2]] if alike else None

    def _iou(self, shape: Shape, segment: Segment) -> float:
        x, y, w, h = segment.bbox
        height, width = shape.mask.shape
        left, right = max(x, shape.x), min(x + w, shape.x + width)
        top, bottom = max(y, shape.y), min(y + h, shape.y + height)
        if left >= right or top >= bottom:
            return 0.0
        outline = self._outline(segment)
        here = outline[top - y : bottom - y, left - x : right - x]
        there = shape.mask[top - shape.y : bottom - shape.y, left - shape.x : right - shape.x]
        common = int(np.count_nonzero(here & there))
        return common / (int(np.count_nonzero(outline)) + shape.area - common)

    def _outline(self, segment: Segment) -> NDArray[np.bool_]:
        """Return what our polygon of a segment fills, within its box [h, w]."""
        if segment.id not in self._filled:
            x, y, w, h = segment.bbox
            size = self._image.height, self._image.width
            drawn = filled(segment_polygon(self._image, segment), size, segment.category_id)
            outline = np.zeros((h, w), dtype=bool)
            if drawn is not None:
                part = replace(drawn, x=drawn.x - x, y=drawn.y - y).cut(outline)
                part |= drawn.mask
            self._filled[segment.id] = outline
        return self._filled[segment.id]


def _of_segments(region: Shape, current: PanopticMap) -> Iterator[Shape]:
    """Yield the segments of a class that a region of it shows.

    Segments of the run keep the pixels that are still of the class. New pixels go to the segment
    that their part touches, or are a segment of their own.
    """
    ids = region.cut(current.ids)  # [h, w]
    own = {s.id: s for s in current.segments if s.category_id == region.category_id}
    owners = np.where(region.mask & np.isin(ids, list(own)), ids, UNLABELLED)
    parts, _ = ndimage.label(region.mask & (owners == UNLABELLED), structure=CORNERS_TOO)
    for part, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        near = (_wider(rows), _wider(columns))
        inside = parts[near] == part
        around = owners[near][ndimage.binary_dilation(inside, structure=CORNERS_TOO)]
        beside, counts = np.unique(around[around > 0], return_counts=True)
        if len(beside):
            owners[near][inside] = beside[np.argmax(counts)]
        elif len(own) == 1 and not next(iter(own.values())).is_thing:
            owners[near][inside] = next(iter(own))  # stuff is one region, wherever its parts are
        else:
            yield _part(region, inside, near[1].start, near[0].start)
    for id_ in np.unique(owners[owners > 0]).tolist():
        yield replace(_part(region, owners == id_), is_crowd=own[id_].is_crowd)


def _wider(side: slice) -> slice:
    """Return a side of a box with the pixels next to it."""
    return slice(max(side.start - 1, 0), side.stop + 1)


def _part(region: Shape, inside: NDArray[np.bool_], x: int = 0, y: int = 0) -> Shape:
    """Return the shape of a mask that begins at x, y of the region."""
    part = shape_of(inside, region.category_id, region.x + x, region.y + y)
    if part is None:
        raise ValueError("a part of a region has at least one pixel")
    return part
