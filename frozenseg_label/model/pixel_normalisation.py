"""Pixels in the range that an encoder was trained on; the padding becomes exactly zero."""

from collections.abc import Sequence

import torch
from torch import Tensor


def normalise_pixels(
    pixels: Tensor,
    image_sizes: Sequence[tuple[int, int]],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Tensor:
    """Return (pixels - mean) / std inside each image and 0 in its padding, [B, 3, h, w].

    Args:
        pixels: [B, 3, h, w] RGB, 0..255; an image is in the top left corner, with any values
            right of it and below.
        image_sizes: height and width of each image without its padding.
        mean: of the three channels, on the same 0..255 scale.
        std: likewise.
    """
    if pixels.ndim != 4 or pixels.shape[1] != 3:
        raise ValueError(f"pixels must be [B, 3, h, w], got {tuple(pixels.shape)}")
    if len(image_sizes) != len(pixels):
        raise ValueError(f"{len(pixels)} images but {len(image_sizes)} image sizes")
    height, width = pixels.shape[-2:]
    for size in image_sizes:
        if not (0 < size[0] <= height and 0 < size[1] <= width):
            raise ValueError(f"image size {size} does not fit into {height} x {width} pixels")

    device = pixels.device
    shift = torch.tensor(mean, device=device).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=device).view(1, 3, 1, 1)
    sizes = torch.tensor(image_sizes, device=device)  # [B, 2]
    rows = torch.arange(height, device=device) < sizes[:, 0, None]  # [B, h]
    columns = torch.arange(width, device=device) < sizes[:, 1, None]  # [B, w]
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]  # [B, 1, h, w]
    # Zero after normalising, as upstream pads: the border has the mean colour, it is not black.
    return torch.where(inside, (pixels.float() - shift) / scale, 0.0)
