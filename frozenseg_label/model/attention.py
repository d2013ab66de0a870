"""The blocks of a post-norm transformer, and the small MLP of the heads.

Every block ends with its residual and norm, as in Vaswani et al. 2017 (arXiv 1706.03762).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads; one stacked matrix projects all inputs.

    Args:
        channels: C of queries, keys, values and result.
        heads: a divisor of C.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels must be a multiple of heads, got {channels} and {heads}")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        """Return [B, Q, C]: for every query the values whose keys answer it.

        Args:
            queries: [B, Q, C].
            keys: [B, N, C].
            values: [B, N, C].
            allowed: bool [B, Q, N], where a query may look, for all heads; None = everywhere.
        """
        weights = self.in_proj_weight.chunk(3)
        biases = self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for x, weight, bias in zip((queries, keys, values), weights, biases, strict=True)
        )  # [B, heads, Q or N, C / heads]
        mask = None if allowed is None else allowed[:, None]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        result: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return result


class AttentionBlock(nn.Module):
    """Attention, residual, norm."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(channels, heads)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        keys: Tensor,
        values: Tensor,
        allowed: Tensor | None = None,
    ) -> Tensor:
        """Return x [B, Q, C] with what it found added.

        Args:
            x: [B, Q, C].
            positions: [Q, C], added to x where it asks, not where it is kept.
            keys: [B, N, C], position included where it should count.
            values: [B, N, C].
            allowed: bool [B, Q, N]; None = everywhere.
        """
        result: Tensor = self.norm(x + self.attention(x + positions, keys, values, allowed))
        return result


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, residual, norm."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm = nn.LayerNorm(channels)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, N, C]."""
        result: Tensor = self.norm(x + self.linear2(F.relu_(self.linear1(x))))
        return result


class MLP(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        sizes: channels of the input, of every hidden layer, and of the output.
    """

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., sizes[-1]]."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        result: Tensor = self.layers[-1](x)
        return result
