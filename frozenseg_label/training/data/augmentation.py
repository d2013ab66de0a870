"""Augmentation: a training image is mirrored, resized, cropped and recoloured at random."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = 128  # image padding, as the published run pads before it normalises

# At strength 1, changes are about as large as those of SSD (arXiv 1512.02325).
FACTOR_SPREAD = 0.5  # brightness, contrast and saturation: factors 0.5..1.5
HUE_SPREAD = math.radians(36)

# Rows: luma and two colour differences of ITU-R BT.601, from RGB.
YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]],
)
RGB_FROM_YCBCR = np.linalg.inv(YCBCR)


class Window(NamedTuple):
    """The part of an image axis that is kept, in pixels of the resized image.

    Attributes:
        full: length of the whole axis after resizing.
        start, length: the part that is kept.
        pixels: length of the axis before resizing.
    """

    full: int
    start: int
    length: int
    pixels: int

    @property
    def begin(self) -> float:
        """Return its begin in pixels before resizing."""
        return self.start * self.pixels / self.full

    @property
    def end(self) -> float:
        """Return its end in pixels before resizing."""
        return (self.start + self.length) * self.pixels / self.full

    def nearest(self) -> NDArray[np.int64]:
        """Return the pixel before resizing in which the centre of each kept pixel lies."""
        # In integers: (start + i + 1/2) * pixels / full, rounded down.
        doubled = 2 * (self.start + np.arange(self.length, dtype=np.int64)) + 1
        return doubled * self.pixels // (2 * self.full)


@dataclass(frozen=True)
class Augmentation:
    """Makes a square image and its labels out of an image of any size; both change together.

    As published for COCO (large-scale jitter): the image is resized, with its aspect ratio, to fit
    a square of a random scale times `crop_size`. If it is larger than `crop_size`, a window at a
    random place is kept; if it is smaller, it is padded at the right and at the bottom.

    Attributes:
        flip: probability of mirroring left and right.
        scale: the scale is drawn uniformly from this range.
        crop_size: side of the square that comes out, in pixels.
        color_jitter: strength, 0..1; 0 changes nothing, at 1 brightness, contrast and saturation
            are multiplied by 0.5..1.5 each and the hue is turned by up to 36 degrees.
        fill: id of the padding.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.1, 2.0)
    crop_size: int = 1024
    color_jitter: float = 0.0
    fill: int = 0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high < math.inf:
            raise ValueError(f"scale must be a range above 0, got {self.scale}")
        if self.crop_size < 1:
            raise ValueError(f"crop_size must be at least 1, got {self.crop_size}")
        for name, value in (("flip", self.flip), ("color_jitter", self.color_jitter)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {value}")

    def __call__(
        self, image: NDArray[np.uint8], ids: NDArray[np.int32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the image [crop_size, crop_size, 3] and its ids [crop_size, crop_size].

        Args:
            image: uint8 [H, W, 3] RGB.
            ids: int32 [H, W].
            rng: eight numbers are drawn from it, whatever the image and the settings.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(f"image must be uint8 [H, W, 3], got {image.dtype} {image.shape}")
        if ids.shape != image.shape[:2]:
            raise ValueError(f"image is {image.shape[:2]} but ids are {ids.shape}")
        mirror, zoom, down, right = rng.random(4)
        colors = rng.uniform(-1, 1, 4)  # brightness, contrast, saturation, hue

        low, high = self.scale
        target = (low + (high - low) * zoom) * self.crop_size
        ratio = target / max(ids.shape)
        rows = self._window(ids.shape[0], ratio, down)
        columns = self._window(ids.shape[1], ratio, right)

        seen = resize_window(image, rows, columns)
        if self.color_jitter:
            seen = jitter_colors(seen, self.color_jitter * colors)
        seen_ids = ids[rows.nearest()[:, None], columns.nearest()]
        # All places of the window are equally probable, so mirroring only the window is enough.
        way = -1 if mirror < self.flip else 1

        new_image = np.full((self.crop_size, self.crop_size, 3), GREY, np.uint8)
        new_ids = np.full((self.crop_size, self.crop_size), self.fill, np.int32)
        new_image[: rows.length, : columns.length] = np.asarray(seen)[:, ::way]
        new_ids[: rows.length, : columns.length] = seen_ids[:, ::way]
        return new_image, new_ids

    def _window(self, pixels: int, ratio: float, place: float) -> Window:
        """Resize an axis by a ratio and choose the part to keep; `place` is drawn from 0..1."""
        full = max(1, round(pixels * ratio))
        length = min(full, self.crop_size)
        return Window(full, int(place * (full - length + 1)), length, pixels)


def resize_window(image: NDArray[np.uint8], rows: Window, columns: Window) -> Image.Image:
    """Return the window of the resized image; pixels far outside the window are not computed.

    Resized bilinearly on uint8, with Pillow's smoothing when it shrinks, like the model's input.
    """
    top, bottom = _needed(rows)
    left, right = _needed(columns)
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    box = (
        columns.begin - left,
        rows.begin - top,
        min(columns.end - left, part.width),  # rounding may carry an end beyond the last pixel
        min(rows.end - top, part.height),
    )
    return part.resize((columns.length, rows.length), Image.Resampling.BILINEAR, box)


def _needed(window: Window) -> tuple[int, int]:
    """Return the range of pixels before resizing that the window is made of, first and last + 1."""
    reach = math.ceil(max(1.0, window.pixels / window.full))  # of Pillow's bilinear filter
    first = max(0, math.floor(window.begin) - reach)
    return first, min(window.pixels, math.ceil(window.end) + reach)


def jitter_colors(image: Image.Image, change: NDArray[np.float64]) -> Image.Image:
    """Change brightness, contrast (around the mean luma), saturation and hue, in this order.

    All four are linear, so they are one matrix over the colours and one offset. The hue is turned
    in the plane of the colour differences, which does not change the luma.

    Args:
        change: float64 [4], -1..1 each: how far each of the four changes, as a share of its spread.
    """
    brightness, contrast, saturation = 1 + FACTOR_SPREAD * change[:3]
    hue = HUE_SPREAD * change[3]
    turned = saturation * np.array([[np.cos(hue), -np.sin(hue)], [np.sin(hue), np.cos(hue)]])
    in_ycbcr = np.eye(3)
    in_ycbcr[1:, 1:] = turned
    matrix = brightness * contrast * RGB_FROM_YCBCR @ in_ycbcr @ YCBCR  # [3, 3]

    mean_luma = float(np.asarray(image).reshape(-1, 3).mean(axis=0) @ YCBCR[0])
    offset = (1 - contrast) * brightness * mean_luma
    rows = np.column_stack([matrix, np.full(3, offset)])  # [3, 4]
    return image.convert("RGB", matrix=tuple(rows.ravel().tolist()))
