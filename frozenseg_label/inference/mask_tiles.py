"""Bilinear resizing that can compute a few rows of the result at a time.

Q masks of full size would be the largest tensor of inference, so they are never made: each result
is computed from a few rows of all masks at a time, and memory does not grow with Q x H x W.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference.preprocess import Framing, Size
from frozenseg_label.model.proposals import ClassifiedMasks

TILE_VALUES = 2**21  # floats of one tile, 8 MiB: a few of them fit into the cache


class TiledResize:
    """Bilinear resizes in a row; equals `F.interpolate` (align_corners False) of the whole maps.

    Resizing is linear and its two axes are independent: a few rows of the result are a small
    matrix times the few rows of the input that they lie between.

    Args:
        size: height and width that come in.
        steps: for each resize the size to resize to, and the size of the part that is kept, from
            the upper left corner.
    """

    def __init__(self, size: Size, steps: Sequence[tuple[Size, Size]]) -> None:
        heights = [(to[0], keep[0]) for to, keep in steps]
        self.widths = [(to[1], keep[1]) for to, keep in steps]
        # Unit vectors, resized, are F.interpolate's own weights, to the last bit.
        self.weights = _resize_last(torch.eye(size[0])[None], heights)[0].T.contiguous()  # [H, h]
        self.column_weights = _resize_last(torch.eye(size[1])[None], self.widths)[0].T  # [W, w]
        self.output_size: Size = steps[-1][1]
        self.values = size[0] * size[1]  # of each map that comes in

    def needed(self, start: int, stop: int) -> slice:
        """Return the input rows that rows start..stop of the result are made of."""
        used = self.weights[start:stop].any(dim=0).nonzero()
        return slice(int(used[0]), int(used[-1]) + 1)

    def rows(self, maps: Tensor, start: int, stop: int) -> Tensor:
        """Return rows start..stop of the result, [N, stop - start, W].

        Args:
            maps: [N, rows, w], the input's `needed(start, stop)` rows.
            start: first row of the result.
            stop: the row after the last.
        """
        weights = self.weights[start:stop, self.needed(start, stop)].to(maps.device)
        with torch.autocast(maps.device.type, enabled=False):  # half precision would move edges
            return weights @ self.stretched(maps)

    def stretched(self, maps: Tensor) -> Tensor:
        """Return maps [N, rows, w] at the width of the result, float32 [N, rows, W]."""
        return _resize_last(maps.float(), self.widths)


def _resize_last(x: Tensor, steps: Sequence[tuple[int, int]]) -> Tensor:
    """Resize [N, R, n] along its last axis to each length in turn, keeping the beginning."""
    for length, keep in steps:
        if x.shape[-1] != length:
            x = F.interpolate(x, size=length, mode="linear", align_corners=False)
        x = x[..., :keep]
    return x


def row_tiles(height: int, values_per_row: int) -> Iterator[tuple[int, int]]:
    """Cut `height` rows into tiles (start, stop) of about `TILE_VALUES` values each."""
    step = max(1, TILE_VALUES // max(1, values_per_row))
    for start in range(0, height, step):
        yield start, min(start + step, height)


def masks_resize(masks: Tensor, framing: Framing) -> TiledResize:
    """Return the published way of mask logits [..., h, w] back to the image.

    Up to the padded input size, padding cut off, then to the size of the original.
    """
    size = masks.shape[-2], masks.shape[-1]
    original = framing.original
    return TiledResize(size, [(framing.padded, framing.image), (original, original)])


def single_image(masks: ClassifiedMasks) -> ClassifiedMasks:
    """Return the masks of one image without the batch dimension: [Q, h, w], [Q, K + 1], [Q]."""
    if masks.mask_logits.ndim == 3:
        return masks
    if masks.mask_logits.shape[0] != 1:
        raise ValueError(f"expected the masks of one image, got {masks.mask_logits.shape[0]}")
    return ClassifiedMasks(masks.mask_logits[0], masks.class_probs[0], masks.disagreement[0])
