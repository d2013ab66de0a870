"""A brush stroke, told from the blur that comes with it.

After any stroke or merge the App writes the segment's whole mask anew, at the resolution of the
screen: coarser than the image (or finer), its box moved by less than a pixel. Taken as it is, such
a mask would change every outline that it touches. What is farther from the original mask than that
can explain was painted; all other pixels stay as they were.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_fill_holes,
    binary_opening,
    binary_propagation,
    distance_transform_edt,
)

Box = tuple[float, float, float, float]  # x, y, width, height in pixels of the image
Mask = NDArray[np.bool_]
AnyMask = NDArray[np.bool_] | NDArray[np.uint8]

BLUR = 1.0  # screen pixels by which an outline that nobody touched may move
ROUNDING = 0.5  # pixels of the image, likewise: boxes are rounded


@dataclass(frozen=True)
class Window:
    """A part of an image: its first row and column, and the ones behind its last."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing [H, W]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def window_around(size: tuple[int, int], *boxes: Box, margin: float = 0) -> Window:
    """The smallest window of an image of this size (height, width) that holds all boxes."""
    return Window(
        top=max(0, int(np.floor(min(y for _, y, _, _ in boxes) - margin))),
        left=max(0, int(np.floor(min(x for x, _, _, _ in boxes) - margin))),
        bottom=min(size[0], int(np.ceil(max(y + h for _, y, _, h in boxes) + margin))),
        right=min(size[1], int(np.ceil(max(x + w for x, _, w, _ in boxes) + margin))),
    )


def screen_pixel(mask: AnyMask, box: Box) -> float:
    """How many pixels of the image one pixel of a mask [h, w] is long, at least 1."""
    lengths = box[2] / mask.shape[1], box[3] / mask.shape[0]
    return float(max(*lengths, 1.0))


def at_image_resolution(mask: AnyMask, box: Box, window: Window) -> Mask:
    """The pixels of a window that a mask [h, w] covers, where it fills a box; bilinear."""
    inside = (mask > 0).astype(np.float32)
    rows = (np.arange(window.top, window.bottom) + 0.5 - box[1]) / box[3] * mask.shape[0] - 0.5
    columns = (np.arange(window.left, window.right) + 0.5 - box[0]) / box[2] * mask.shape[1] - 0.5
    return _interpolated(_interpolated(inside, rows).T, columns).T >= 0.5


def fuse_stroke(original: Mask, edited: Mask, pixel: float) -> Mask:
    """The original mask with what was painted onto it or rubbed out of it.

    Pixels of the original change only where they lie within one screen pixel of a place that the
    blur cannot explain.

    Args:
        original: bool [h, w], as it was.
        edited: bool [h, w], as the App has it, at the image's resolution.
        pixel: length of a screen pixel in pixels of the image, at least 1.
    """
    blur = BLUR * pixel + ROUNDING
    painted = edited & (_distance_to(original) > blur)
    painted = _up_to(original, painted, edited & ~original, blur)
    # Pixels that stroke and outline shut in between them; a wide inside has other outlines, too.
    shut_in = binary_fill_holes(original | painted) & ~binary_fill_holes(original)
    painted |= edited & shut_in & (_distance_to(painted) <= pixel)
    # What is thinner than the screen shows may be missing there though nobody rubbed it out.
    thickness = int(np.ceil(pixel)) + 1 if pixel > 1 else 1
    shown = binary_opening(original, np.ones((thickness, thickness), bool))
    rubbed = shown & (_distance_to(edited) > blur)
    rubbed |= original & ~edited & (_distance_to(rubbed) <= pixel + 0.5)  # corners of the outline
    rubbed = _up_to(edited, rubbed, original & ~edited, blur)
    return (original | painted) & ~rubbed


def _up_to(mask: Mask, stroke: Mask, differing: Mask, blur: float) -> Mask:
    """The stroke with the differing pixels that the mask's blur hides: those in front of it.

    From the mask's nearest pixel through such a one, the stroke is met where the blur ends. So it
    grows towards the mask, and hardly to the sides: the blur of a thin line is no part of it.
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
    """Pixels to the nearest one of the mask; infinite where it has none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance: NDArray[np.float64] = distance_transform_edt(~mask)
    return distance


def _interpolated(values: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of [n, m] at fractional places; 0 outside."""
    padded = np.pad(values, ((1, 1), (0, 0)))
    at = np.clip(places + 1, 0, len(padded) - 1)
    lower = np.minimum(np.floor(at).astype(np.int64), len(padded) - 2)
    share = (at - lower)[:, None].astype(np.float32)
    mixed: NDArray[np.float32] = padded[lower] * (1 - share) + padded[lower + 1] * share
    return mixed
