"""A feature map pooled over each mask: the mean, or what OpenAI's attention pool makes of it."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from open_clip.modified_resnet import AttentionPool2d


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


def pool_by_attention(pool: "AttentionPool2d", dense: Tensor, inside: Tensor) -> Tensor:
    """Return the vector that the pool's one query finds inside each mask, [B, Q, D].

    A mask that covers no position gives exactly the bias of the output projection.

    Args:
        pool: learned at some map size; its position embedding is resized (bilinear) to this one.
        dense: [B, C, h, w].
        inside: bool [B, Q, h w].
    """
    class_position, grid = pool.positional_embedding[:1], pool.positional_embedding[1:]
    side = round(len(grid) ** 0.5)
    grid = grid.T.unflatten(1, (side, side))[None]  # [1, C, side, side]
    grid = F.interpolate(grid, size=dense.shape[2:], mode="bilinear", align_corners=False)

    tokens = dense.flatten(2).transpose(1, 2)  # [B, h w, C]
    query = tokens.mean(dim=1, keepdim=True) + class_position  # [B, 1, C], the same for all masks
    # Upstream's mean token is no key here: a mask sees only its own positions.
    tokens = tokens + grid.flatten(2).transpose(1, 2)

    def heads(x: Tensor) -> Tensor:  # [B, n, C] -> [B, heads, n, C / heads]
        return x.reshape(*x.shape[:2], pool.num_heads, -1).transpose(1, 2)

    # There is one query only, so it goes through the key projection backwards, which saves a
    # C x C product per position; the projection's bias shifts all scores alike and has no effect.
    queries = heads(pool.q_proj(query))  # [B, heads, 1, C / heads]
    key_weights = pool.k_proj.weight.reshape(pool.num_heads, -1, dense.shape[1])
    scores = (queries @ key_weights) @ tokens[:, None].transpose(2, 3)  # [B, heads, 1, h w]
    scores = scores * queries.shape[-1] ** -0.5

    seen = inside[:, None]  # [B, 1, Q, h w]
    # The smallest number and not -inf, which would be 0 / 0 for an empty mask; the product with
    # `seen` then leaves zeros for an empty mask.
    scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1) * seen  # [B, heads, Q, h w]
    values = heads(pool.v_proj(tokens))  # [B, heads, h w, C / heads]
    pooled: Tensor = pool.c_proj((weights.to(values.dtype) @ values).transpose(1, 2).flatten(2))
    return pooled
