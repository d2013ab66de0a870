"""Regions of one colour: masks that anybody can make, the control of SAM's."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage
from torch import Tensor

COLORS = 12
LEAST_AREA = 0.002  # of the picture
MOST = 50  # as SAM's


def color_regions(image: NDArray[np.uint8], size: tuple[int, ...]) -> Tensor:
    """Return connected regions of like colour as logits [M, h, w], +5 inside and -5 outside.

    Args:
        image: [H, W, 3].
        size: h and w.
    """
    smooth = Image.fromarray(image).filter(ImageFilter.MedianFilter(5))
    few = np.asarray(smooth.quantize(COLORS, Image.Quantize.MEDIANCUT))  # [H, W]
    masks = []
    for color in range(COLORS):
        parts, count = ndimage.label(few == color)
        areas = np.bincount(parts.ravel(), minlength=count + 1)
        for part in np.flatnonzero(areas >= LEAST_AREA * few.size):
            if part:
                masks.append(ndimage.binary_fill_holes(parts == part))
    masks = sorted(masks, key=np.sum, reverse=True)[:MOST]
    if not masks:
        return torch.zeros(0, *size)
    inside = torch.from_numpy(np.stack(masks)).float()[:, None]  # [M, 1, H, W]
    shares = torch.nn.functional.interpolate(inside, size=size, mode="area")[:, 0]
    return 10.0 * shares - 5.0
