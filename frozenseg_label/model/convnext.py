"""The trunk of a ConvNeXt (Liu et al. 2022, arXiv 2201.03545), with timm's names of parameters.

It is written out because importing timm takes longer than labelling an image with nano.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM_STRIDE = 4
EPS = 1e-6  # of all layer norms

FourStages = tuple[int, int, int, int]
MakeNorm = Callable[[int], nn.Module]


class ConvNextTrunk(nn.Module):
    """Stem and four stages with random weights; the head norms what was pooled.

    Args:
        depths: blocks of the four stages.
        dims: channels of the four stages.
        kernel_size: of the depthwise convolutions.
        output_stride: of the last stage; below 32 the last stages are dilated, not strided.
        layer_scale: what each block's output is scaled with at first; None builds no scale.
        norm: "batch" needs `conv_mlp`.
        conv_mlp: 1x1 convolutions in place of linear layers in the blocks.
    """

    def __init__(
        self,
        depths: FourStages,
        dims: FourStages,
        kernel_size: int,
        output_stride: Literal[8, 16, 32],
        layer_scale: float | None,
        norm: Literal["layer", "batch"],
        conv_mlp: bool,
    ) -> None:
        super().__init__()
        self.num_features = dims[-1]
        of_maps: MakeNorm = nn.BatchNorm2d if norm == "batch" else LayerNorm2d
        of_cells: MakeNorm = of_maps if conv_mlp else partial(nn.LayerNorm, eps=EPS)
        self.stem = nn.Sequential(nn.Conv2d(3, dims[0], STEM_STRIDE, STEM_STRIDE), of_maps(dims[0]))
        stages: list[nn.Module] = []
        stride, dilation, before = STEM_STRIDE, 1, dims[0]
        for place, (depth, width) in enumerate(zip(depths, dims, strict=True)):
            step, reach = (1, 1) if place == 0 else (2, 1)
            if step > 1 and stride >= output_stride:
                # In place of a step, all that follows looks twice as far.
                step, reach, dilation = 1, max(1, dilation), 2 * dilation
            stride *= step
            blocks = [
                ConvNextBlock(width, kernel_size, dilation, layer_scale, of_cells, conv_mlp)
                for _ in range(depth)
            ]
            down = nn.Identity() if place == 0 else _downsample(before, width, of_maps, step, reach)
            stages.append(ConvNextStage(down, blocks))
            before = width
        self.stages = nn.Sequential(*stages)
        self.norm_pre = nn.Identity()
        self.head = PooledNorm(dims[-1])
        self.apply(_initialise)

    def forward_head(self, x: Tensor) -> Tensor:
        """Return the mean of each map, normed: [N, C, h, w] -> [N, C]."""
        normed: Tensor = self.head(x)
        return normed


class ConvNextStage(nn.Module):
    """A step to the next size and width, then blocks."""

    def __init__(self, downsample: nn.Module, blocks: list["ConvNextBlock"]) -> None:
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps [B, C, h, w] into those of this stage."""
        out: Tensor = self.blocks(self.downsample(x))
        return out


class ConvNextBlock(nn.Module):
    """A wide depthwise convolution and two layers for each cell, added to what came in."""

    def __init__(
        self,
        width: int,
        kernel_size: int,
        dilation: int,
        layer_scale: float | None,
        norm: MakeNorm,
        conv_mlp: bool,
    ) -> None:
        super().__init__()
        around = dilation * (kernel_size - 1) // 2
        self.conv_dw = nn.Conv2d(
            width, width, kernel_size, padding=around, dilation=dilation, groups=width
        )
        self.norm = norm(width)
        self.mlp = Mlp(width, 4 * width, width, conv=conv_mlp)
        self.conv_mlp = conv_mlp
        scale = None if layer_scale is None else nn.Parameter(torch.full((width,), layer_scale))
        self.gamma: nn.Parameter | None
        self.register_parameter("gamma", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape, [B, C, h, w]."""
        out: Tensor = self.conv_dw(x)
        if self.conv_mlp:
            out = self.mlp(self.norm(out))
        else:
            out = self.mlp(self.norm(out.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        if self.gamma is not None:
            out = out * self.gamma[:, None, None]
        return out + x


class Mlp(nn.Module):
    """Two layers with a GELU between them.

    Args:
        conv: 1x1 convolutions over maps in place of linear layers.
        last_bias: whether the second one has a bias.
    """

    def __init__(
        self, into: int, hidden: int, out: int, *, conv: bool = False, last_bias: bool = True
    ) -> None:
        super().__init__()
        layer = partial(nn.Conv2d, kernel_size=1) if conv else nn.Linear
        self.fc1 = layer(into, hidden)
        self.act = nn.GELU()
        self.fc2 = layer(hidden, out, bias=last_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., out] of [..., into], or the same of maps."""
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class LayerNorm2d(nn.LayerNorm):
    """Norms the channels of each cell of maps [B, C, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape."""
        cells = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(cells, self.normalized_shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


class PooledNorm(nn.Module):
    """The mean of a map, normed always by layer, so that no mask depends on its neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps [N, C, h, w] into vectors [N, C]."""
        normed: Tensor = self.norm(x.mean(dim=(2, 3), keepdim=True))
        return normed.flatten(1)


class SameSizeConv(nn.Conv2d):
    """A convolution that keeps a map's size; where it cannot be even, the far edge gets more."""

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same height and width."""
        (kernel, _), (dilation, _) = self.kernel_size, self.dilation
        more = dilation * (kernel - 1)
        near = more // 2
        return super().forward(F.pad(x, (near, more - near, near, more - near)))


def _downsample(before: int, width: int, norm: MakeNorm, step: int, dilation: int) -> nn.Sequential:
    """Return what leads into a stage: strided by 2, or dilated where the size stays."""
    if step > 1:
        return nn.Sequential(norm(before), nn.Conv2d(before, width, 2, stride=step))
    return nn.Sequential(norm(before), SameSizeConv(before, width, 2, dilation=dilation))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
