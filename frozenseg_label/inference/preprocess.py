"""An image as the model takes it: resized, as floats, padded; and the sizes to undo that."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Framing:
    """The place of one image in the model's input: its upper left part; leads from masks to pixels.

    Attributes:
        padded: height and width of the input with padding, which the masks cover.
        image: height and width inside the padding.
        original: height and width before resizing, which the labels will have.
    """

    padded: Size
    image: Size
    original: Size

    @property
    def shrunk(self) -> float:
        """Return how many times smaller the model sees the image; below 1 it sees it larger."""
        return max(self.original) / max(self.image)


@dataclass(frozen=True)
class PreparedImage:
    """One image on its way into the model.

    Attributes:
        pixels: float32 [3, h, w] RGB 0..255, padded with zeros right and below.
        framing: the sizes; images of one batch have the same padded size.
        picture: returns the image itself, uint8 [H, W, 3], where it is to be seen in tiles too.
    """

    pixels: Tensor
    framing: Framing
    picture: Callable[[], NDArray[np.uint8]] | None = None


def prepare_image(
    image: NDArray[np.uint8],
    shortest: int,
    longest: int,
    divisor: int = 32,
    original: Size | None = None,
) -> PreparedImage:
    """Resize, then pad right and below; the encoders normalise, each in its own way.

    Args:
        image: [H, W, 3] RGB.
        shortest: the shorter side becomes this long, in pixels,
        longest: unless the longer one would exceed this; then the longer becomes this long.
        divisor: padded to a multiple of it.
        original: height and width that the labels shall have; None: those of `image`.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be uint8 [H, W, 3], got {image.dtype} {image.shape}")
    original = original or (image.shape[0], image.shape[1])
    height, width = resized_size(original, shortest, longest)
    # On uint8 and with Pillow's smoothing when it shrinks, as detectron2 does it: the published
    # weights were trained on it only.
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    padded = -(-height // divisor) * divisor, -(-width // divisor) * divisor
    pixels = np.zeros((3, *padded), np.float32)
    pixels[:, :height, :width] = np.asarray(resized).transpose(2, 0, 1)
    return PreparedImage(torch.from_numpy(pixels), Framing(padded, (height, width), original))


def resized_size(original: Size, shortest: int, longest: int) -> Size:
    """Return height and width after resizing, rounded as detectron2's ResizeShortestEdge rounds.

    Both sides are scaled as fractions, twice where the longer side is capped, and rounded half up
    once at the end. No side gets shorter than one pixel (upstream's would, at 1 : 2700).
    """
    if not 0 < shortest <= longest:
        raise ValueError(f"expected 0 < shortest <= longest, got {shortest} and {longest}")
    height, width = original
    scale = shortest / min(original)
    new_height = float(shortest) if height < width else scale * height
    new_width = scale * width if height < width else float(shortest)
    if max(new_height, new_width) > longest:
        cap = longest / max(new_height, new_width)
        new_height, new_width = new_height * cap, new_width * cap
    return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))
