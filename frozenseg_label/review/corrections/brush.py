"""What people painted in the App, told from the blur that comes with it.

After any stroke or merge the App writes the segment's whole mask again, at the resolution of the
screen: coarser than the image (or finer), its box moved by less than a pixel. If we took this mask
unchanged, every outline in it would change. Where a pixel is farther from the original mask than
the blur can explain, somebody painted; all other pixels stay as they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_fill_holes,
    binary_opening,
    binary_propagation,
    distance_transform_edt,
)

from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.review.corrections.regions import Mask, Region, Window

BLUR = 1.0  # screen pixels by which an outline that nobody touched may move
ROUNDING = 0.5  # pixels of the image, likewise: boxes are rounded
MERGED_SHARE = 0.5  # of a vanished segment that another one must cover to have swallowed it


@dataclass(frozen=True)
class Stroke:
    """The change of one segment's pixels, in a part of the image.

    Attributes:
        where: rows and columns of that part.
        gained, lost: bool, of its size.
    """

    where: tuple[slice, slice]
    gained: Mask
    lost: Mask

    def __bool__(self) -> bool:
        """Return whether any pixel changed."""
        return bool(self.gained.any() or self.lost.any())


def stroke_on(
    base: PanopticMap, segment: Segment, region: Region, swallowed: Sequence[Segment] = ()
) -> Stroke:
    """Return what was painted on a segment, without the blur.

    Args:
        base: the labels that the review opened.
        swallowed: segments that were merged into this one: their pixels count as its own.
    """
    pixel = region.screen_pixel
    boxes = [segment.bbox, *(other.bbox for other in swallowed), region.box]
    window = Window.around(base.ids.shape, *boxes, margin=3 * pixel + 2)
    here = base.ids[window.slices]
    original = np.isin(here, [segment.id, *(other.id for other in swallowed)])
    result = region.within(window)
    if not region.is_exact:
        result = fuse_stroke(original, result, pixel)
    return Stroke(window.slices, result & ~original, original & ~result)


def drawn(size: tuple[int, int], region: Region) -> Stroke:
    """Return all pixels of a region as gained: it was not there before.

    Args:
        size: height and width of the image.
    """
    window = Window.around(size, region.box)
    gained = region.within(window)
    return Stroke(window.slices, gained, np.zeros_like(gained))


def swallowed_by(base: PanopticMap, region: Region, vanished: Sequence[Segment]) -> list[Segment]:
    """Return the vanished segments that a region covers: they were merged into it."""
    if not vanished:
        return []
    stroke = drawn(base.ids.shape, region)
    covered = base.ids[stroke.where][stroke.gained]
    return [
        segment
        for segment in vanished
        if np.count_nonzero(covered == segment.id) >= MERGED_SHARE * segment.area
    ]


def fuse_stroke(original: Mask, edited: Mask, pixel: float) -> Mask:
    """Return the original mask with what was painted onto it or rubbed out of it.

    Pixels of the original change only where they are within one screen pixel of a place that the
    blur cannot explain.

    Args:
        original: bool [h, w], as it was.
        edited: bool [h, w], as the App has it, at the image's resolution.
        pixel: length of a screen pixel in pixels of the image, at least 1.
    """
    blur = BLUR * pixel + ROUNDING
    painted = edited & (_distance_to(original) > blur)
    painted = _up_to(original, painted, edited & ~original, blur)
    # Pixels that stroke and outline enclose between them; in a wide hole there are other outlines.
    enclosed = binary_fill_holes(original | painted) & ~binary_fill_holes(original)
    painted |= edited & enclosed & (_distance_to(painted) <= pixel)
    # What is thinner than the screen shows may be missing there though nobody rubbed it out.
    thickness = int(np.ceil(pixel)) + 1 if pixel > 1 else 1
    shown = binary_opening(original, np.ones((thickness, thickness), bool))
    rubbed = shown & (_distance_to(edited) > blur)
    # An outline that moved takes nothing from deep inside: even a thin line there was rubbed out.
    # A thin line along the outline, or across something thin, may be blur and stays as it was.
    rubbed |= ~edited & (_distance_to(~original) > blur)
    rubbed |= original & ~edited & (_distance_to(rubbed) <= pixel + 0.5)  # corners of the outline
    rubbed = _up_to(edited, rubbed, original & ~edited, blur)
    return (original | painted) & ~rubbed


def _up_to(mask: Mask, stroke: Mask, differing: Mask, blur: float) -> Mask:
    """Return the stroke with the differing pixels in front of it, which the mask's blur hides.

    A line from the mask's nearest pixel through one of these meets the stroke where the blur ends.
    So the stroke grows towards the mask and hardly to the sides: the blur of a thin line does not
    become part of it.
    """
    if not stroke.any() or not mask.any():
        return stroke
    distance, nearest = distance_transform_edt(~mask, return_indices=True)  # [h, w], [2, h, w]
    hidden = np.nonzero(differing & (distance <= blur))  # 2 x [N]
    start = np.stack([axis[hidden] for axis in nearest])  # [2, N]
    end = start + (np.array(hidden) - start) * (blur + 1) / distance[hidden]
    rows, columns = np.clip(np.rint(end).astype(int).T, 0, np.array(mask.shape) - 1).T
    in_front = np.zeros_like(mask)
    in_front[hidden] = stroke[rows, columns]
    grown: Mask = binary_propagation(stroke, np.ones((3, 3), bool), mask=stroke | in_front)
    return grown


def _distance_to(mask: Mask) -> NDArray[np.float64]:
    """Return pixels to the nearest one of the mask; infinite where the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance: NDArray[np.float64] = distance_transform_edt(~mask)
    return distance
