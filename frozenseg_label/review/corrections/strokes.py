"""What people painted: the pixels that a segment got and lost, and the segments it swallowed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.review.corrections.brush import (
    Box,
    Mask,
    at_image_resolution,
    fuse_stroke,
    screen_pixel,
    window_around,
)
from frozenseg_label.review.corrections.regions import Region

MERGED_SHARE = 0.5  # of a vanished segment that another one must cover to have swallowed it


@dataclass(frozen=True)
class Stroke:
    """What changed of one segment's pixels, in a part of the image.

    Attributes:
        where: rows and columns of that part.
        gained, lost: bool, of its size.
    """

    where: tuple[slice, slice]
    gained: Mask
    lost: Mask

    def __bool__(self) -> bool:
        """Whether any pixel changed."""
        return bool(self.gained.any() or self.lost.any())


def stroke_on(
    base: PanopticMap, segment: Segment, region: Region, swallowed: Sequence[Segment] = ()
) -> Stroke:
    """What was painted on a segment, told from the blur that the App brings with it.

    Args:
        base: the labels as the App got them.
        swallowed: segments that were merged into this one: their pixels were its own all along.
    """
    mask = _mask_of(region)
    pixel = 1.0 if region.is_exact else screen_pixel(mask, region.box)
    boxes = [_box(segment), *(_box(other) for other in swallowed), region.box]
    window = window_around(base.ids.shape, *boxes, margin=3 * pixel + 2)
    here = base.ids[window.slices]
    original = np.isin(here, [segment.id, *(other.id for other in swallowed)])
    result = at_image_resolution(mask, region.box, window)
    if not region.is_exact:
        result = fuse_stroke(original, result, pixel)
    return Stroke(window.slices, result & ~original, original & ~result)


def drawn(base: PanopticMap, region: Region) -> Stroke:
    """The pixels of a segment that was not there before."""
    window = window_around(base.ids.shape, region.box)
    gained = at_image_resolution(_mask_of(region), region.box, window)
    return Stroke(window.slices, gained, np.zeros_like(gained))


def swallowed_by(base: PanopticMap, region: Region, vanished: Sequence[Segment]) -> list[Segment]:
    """The vanished segments that a region covers: they were merged into it."""
    if not vanished:
        return []
    stroke = drawn(base, region)
    covered = base.ids[stroke.where][stroke.gained]
    return [
        segment
        for segment in vanished
        if np.count_nonzero(covered == segment.id) >= MERGED_SHARE * segment.area
    ]


def _mask_of(region: Region) -> Mask:
    if region.mask is None:
        raise ValueError(f"the region of {region.label} at {region.box} has no mask")
    return region.mask > 0


def _box(segment: Segment) -> Box:
    x, y, width, height = segment.bbox
    return float(x), float(y), float(width), float(height)
