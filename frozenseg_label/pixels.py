"""The pixels of a decoded picture as people see it: RGB, upright, deep grey levels made visible."""

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

PAPER = (255, 255, 255)  # what shows through transparent pixels, as in most viewers
FAINT = 1 / 16  # floats that lie in 0..1, but not above this, are no share of white

# Pillow's plugins let all of these through on damaged files.
DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    ArithmeticError, MemoryError, RuntimeError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


def upright_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return a picture as RGB, uint8 [H, W, 3], turned as its EXIF orientation says.

    Of several frames the first is taken; transparent pixels become white. Colour profiles are not
    applied, as in the training of CLIP and SAM.

    Grey levels of more than 8 bits are scaled by the range of the picture. For whole numbers white
    is the first of 1, 3, 7, 15, ... that none exceeds: 4095 for 12 bits in a file of 16. Fractions
    in 0..1 keep that range, unless all are fainter than `FAINT`. All other levels, negative ones
    among them, go from the darkest to the brightest. What is no number is black.
    """
    image.load()  # before the orientation is asked for: TIFF files turn themselves here
    return np.array(_upright(_to_rgb(image), orientation(image)))  # [H, W, 3]


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # I;16, I;16B, I, F
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, PAPER)
        paper.alpha_composite(image.convert("RGBA"))
        image = paper
    return image.convert("RGB")


def _eight_bits(levels: NDArray[np.number]) -> NDArray[np.uint8]:
    """Return grey levels [H, W] scaled to 0..255, by the rule of `upright_pixels`."""
    known = levels[np.isfinite(levels)]
    if not known.size:
        raise ValueError("none of its pixels is a number")
    low, high = float(known.min()), float(known.max())
    if low >= 0 and levels.dtype.kind in "iu":
        low, high = 0.0, 2.0 ** int(high).bit_length() - 1.0
    elif low >= 0 and FAINT < high <= 1:
        low, high = 0.0, 1.0
    elif low == high:  # one level only: more than nothing is white
        low = min(low, 0.0)
    scaled = (levels.astype(np.float64) - low) / ((high - low) or 1.0) * 255.0
    eight_bits: NDArray[np.uint8] = np.rint(np.nan_to_num(scaled).clip(0, 255)).astype(np.uint8)
    return eight_bits


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; 1 if none can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGED:  # the picture itself is fine
        return 1


def _upright(image: Image.Image, turn: int) -> Image.Image:
    transpose = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(turn)
    return image if transpose is None else image.transpose(transpose)
