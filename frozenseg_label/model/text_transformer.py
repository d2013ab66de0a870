"""The blocks of CLIP's text tower (Radford et al. 2021, arXiv 2103.00020), open_clip's names.

They are written out because importing open_clip takes longer than labelling an image with nano.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """OpenAI's approximation of the GELU."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        return x * torch.sigmoid(1.702 * x)


class TextTransformer(nn.Module):
    """Blocks of self-attention over tokens, normed before each part.

    Args:
        width: channels of a token.
        layers: number of blocks.
        heads: of the attention.
        quick_gelu: OpenAI's approximate GELU in place of the exact one.
    """

    def __init__(self, width: int, layers: int, heads: int, quick_gelu: bool) -> None:
        super().__init__()
        narrow = width**-0.5 * (2 * layers) ** -0.5  # as CLIP begins: what is added stays small
        blocks = (TextBlock(width, heads, quick_gelu, narrow) for _ in range(layers))
        self.resblocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, attn_mask: Tensor) -> Tensor:
        """Return tokens of the same shape, [N, L, width].

        Args:
            attn_mask: [L, L], added to the logits of the attention.
        """
        for block in self.resblocks:
            x = block(x, attn_mask)
        return x


class TextBlock(nn.Module):
    """Attention and two layers, each added to what came in."""

    def __init__(self, width: int, heads: int, quick_gelu: bool, narrow: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        wide, back = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        gelu = QuickGELU() if quick_gelu else nn.GELU()
        self.mlp = nn.Sequential(OrderedDict(c_fc=wide, gelu=gelu, c_proj=back))
        nn.init.normal_(self.attn.in_proj_weight, std=width**-0.5)
        nn.init.normal_(self.attn.out_proj.weight, std=narrow)
        nn.init.normal_(wide.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(back.weight, std=narrow)

    def forward(self, x: Tensor, attn_mask: Tensor) -> Tensor:
        """Return tokens of the same shape, [N, L, width]."""
        normed = self.ln_1(x)
        mask = attn_mask.to(normed.dtype)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out
