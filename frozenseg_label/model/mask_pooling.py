"""The mean of a feature map over each mask."""

import torch.nn.functional as F
from torch import Tensor


def mask_on_grid(mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return bool [B, Q, h, w]: which positions of a grid of that size a mask covers.

    Args:
        mask_logits: [B, Q, *, *] at any size; resized bilinearly, then strictly > 0 is inside.
        size: h, w of the grid.
    """
    logits = mask_logits.float()
    if logits.shape[-2:] != size:
        each = logits.flatten(0, 1)[:, None]  # [B Q, 1, *, *]; Q = 0 is refused as channels
        each = F.interpolate(each, size=size, mode="bilinear", align_corners=False)
        logits = each.view(*logits.shape[:2], *size)
    return logits > 0


def pool_masks(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Return the mean of the features over each mask [B, Q, C]; zeros where it covers nothing.

    Args:
        features: [B, C, h, w].
        mask_logits: [B, Q, *, *] at any size; see `mask_on_grid`.
    """
    height, width = features.shape[-2:]
    inside = mask_on_grid(mask_logits, (height, width)).flatten(2).to(features.dtype)  # [B, Q, h w]
    sums = inside @ features.flatten(2).transpose(1, 2)  # [B, Q, C], one product for all masks
    # Counts are float32: half precision has no 1e-8, and an empty mask would give 0 / 0.
    counts = inside.float().sum(dim=-1, keepdim=True)  # [B, Q, 1]
    return (sums.float() / (counts + 1e-8)).to(sums.dtype)
