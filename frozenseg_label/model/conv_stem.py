"""A convolutional start for a small vision transformer trained from scratch.

Early convolutions make small transformers train fast and stably (arXiv 2106.14881). nano's SAM has
one in place of the patch embedding; the blocks and the neck after it are SAM's own.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class ConvStem(nn.Module):
    """Strided convolutions that end as SAM's patch embedding does, channels last.

    Args:
        widths: channels after each stride-2 step but the last; n = len(widths) + 1.
        embed_dim: channels of the tokens.
    """

    def __init__(self, widths: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        sizes = [3, *widths, embed_dim]
        self.steps = nn.ModuleList(_conv_norm(a, b, stride=2) for a, b in pairwise(sizes))
        # Residual steps at half the final resolution, where edges are sharp, and at the final one.
        self.refine = nn.ModuleList(_conv_norm(widths[-1], widths[-1], stride=1) for _ in range(2))
        self.gather = nn.ModuleList(_conv_norm(embed_dim, embed_dim, stride=1) for _ in range(2))
        self.proj = nn.Conv2d(embed_dim, embed_dim, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Turn images [B, 3, H, W] into tokens [B, H / 2^n, W / 2^n, embed_dim]."""
        x = image
        for step in self.steps[:-1]:
            x = F.relu(step(x))
        for step in self.refine:
            x = x + F.relu(step(x))
        x = F.relu(self.steps[-1](x))
        for step in self.gather:
            x = x + F.relu(step(x))
        tokens: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return tokens


def _conv_norm(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))
