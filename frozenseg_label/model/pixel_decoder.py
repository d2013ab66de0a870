"""The pixel decoder: from the features of CLIP and SAM to mask features and maps of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.model.attention import FeedForward
from frozenseg_label.model.deformable_attention import DeformableAttention, Size, cells_at_once
from frozenseg_label.model.position_encoding import sine_position_encoding
from frozenseg_label.model.proposals import Features

NORM_GROUPS = 32


@dataclass(frozen=True)
class DecodedPixels:
    """The maps that the queries look at.

    Attributes:
        mask_features: [B, C, h, w] at res2's size (stride 4); a mask is their product with the
            mask embedding of a query.
        levels: three maps [B, C, h_i, w_i] from CLIP, coarsest first (res5, res4, res3).
        sam: [B, C, h_s, w_s] from SAM, half its embedding's size.
    """

    mask_features: Tensor
    levels: tuple[Tensor, Tensor, Tensor]
    sam: Tensor


class PixelDecoder(nn.Module):
    """Mask2Former's pixel decoder (arXiv 2112.01527) and FrozenSeg's second branch, for SAM.

    Args:
        in_channels: channels of CLIP's res2, res3, res4, res5.
        sam_channels: channels of SAM's embedding.
        channels: C, a multiple of 32.
        layers: of deformable attention, in each branch.
        sam_levels: level slots of the SAM branch's deformable attention, which reads one map: 1,
            the honest module, for weights trained here; 3, read flat, for the published ones
            (see `DeformableAttention`).
    """

    def __init__(
        self,
        in_channels: tuple[int, int, int, int],
        *,
        sam_channels: int,
        channels: int,
        layers: int,
        heads: int,
        points: int,
        feedforward: int,
        sam_levels: int = 1,
    ) -> None:
        super().__init__()
        if channels % NORM_GROUPS:
            raise ValueError(f"channels must be a multiple of {NORM_GROUPS}, got {channels}")
        res2, res3, res4, res5 = in_channels
        self.input_projections = nn.ModuleList(
            _normed(nn.Conv2d(source, channels, 1)) for source in (res5, res4, res3)
        )
        self.clip_encoder = DeformableEncoder(
            channels, layers, heads, points, feedforward, levels=3
        )
        self.lateral = _normed(nn.Conv2d(res2, channels, 1, bias=False))
        self.output = _normed(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
        self.mask_features = nn.Conv2d(channels, channels, 1)
        self.sam_projection = _normed(nn.Conv2d(sam_channels, channels, 3, stride=2, padding=1))
        self.sam_encoder = DeformableEncoder(
            channels, layers, heads, points, feedforward, levels=1, slots=sam_levels
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Features) -> DecodedPixels:
        """Decode both branches; they meet later, in the transformer decoder."""
        res2, res3, res4, res5 = features.pyramid
        projected = [
            projection(x)
            for projection, x in zip(self.input_projections, (res5, res4, res3), strict=True)
        ]
        stride32, stride16, stride8 = self.clip_encoder(projected)
        # One step of a feature pyramid brings the finest level to stride 4.
        finest = self.lateral(res2) + F.interpolate(
            stride8, size=res2.shape[-2:], mode="bilinear", align_corners=False
        )
        mask_features = self.mask_features(F.relu(self.output(finest)))
        (sam,) = self.sam_encoder([F.relu(self.sam_projection(features.sam))])
        return DecodedPixels(mask_features, (stride32, stride16, stride8), sam)


class DeformableEncoder(nn.Module):
    """Layers of deformable self-attention over the cells of one or several maps.

    Args:
        levels: maps that will be given.
        slots: see `DeformableAttention`.
    """

    def __init__(
        self,
        channels: int,
        layers: int,
        heads: int,
        points: int,
        feedforward: int,
        levels: int,
        slots: int | None = None,
    ) -> None:
        super().__init__()
        self.levels = levels
        self.level_embedding = nn.Parameter(torch.randn(slots or levels, channels))
        self.layers = nn.ModuleList(
            DeformableLayer(
                DeformableAttention(channels, heads, points, levels, slots),
                FeedForward(channels, feedforward),
                nn.LayerNorm(channels),
            )
            for _ in range(layers)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return maps of the same sizes [B, C, h_i, w_i], each cell informed by all maps."""
        sizes: list[Size] = [(m.shape[-2], m.shape[-1]) for m in maps]
        device = maps[0].device
        cells = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)  # [B, N, C]
        channels = cells.shape[-1]
        positions = torch.cat(
            [
                sine_position_encoding(size, channels, device) + level
                # A module with more slots than maps has level vectors that nothing reads.
                for size, level in zip(sizes, self.level_embedding[: self.levels], strict=True)
            ]
        )  # [N, C]
        places = torch.cat([_cell_centres(size, device) for size in sizes])  # [N, 2]
        for layer in self.layers:
            cells = layer(cells, positions, places, sizes)
        parts = torch.split(cells, [h * w for h, w in sizes], dim=1)
        # Not by a transposition and `reshape`: what that gives is resized ten times as slowly.
        return [
            part.unflatten(1, size).permute(0, 3, 1, 2)
            for part, size in zip(parts, sizes, strict=True)
        ]


class DeformableLayer(nn.Module):
    """Deformable self-attention, residual, norm, feed-forward network."""

    def __init__(
        self, attention: DeformableAttention, feed_forward: FeedForward, norm: nn.LayerNorm
    ) -> None:
        super().__init__()
        self.attention = attention
        self.norm = norm
        self.feed_forward = feed_forward

    def forward(
        self, x: Tensor, positions: Tensor, places: Tensor, sizes: Sequence[Size]
    ) -> Tensor:
        """Return [B, N, C]; see `DeformableAttention.forward`."""
        found = self.attention(x, positions, places, sizes)
        step = cells_at_once(x, of=x.shape[1])
        parts = zip(x.split(step, dim=1), found.split(step, dim=1), strict=True)
        return torch.cat([self.feed_forward(self.norm(a + b)) for a, b in parts], dim=1)


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    """Return a convolution with a group norm after it."""
    return nn.Sequential(convolution, nn.GroupNorm(NORM_GROUPS, convolution.out_channels))


def _cell_centres(size: Size, device: torch.device) -> Tensor:
    """Return [h w, 2]: x and y of every cell's centre, row by row, in 0..1 of the map."""
    height, width = size
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).flatten(
        0, 1
    )
