"""Sine position encoding: the place of a cell in its map (Carion et al. 2020, arXiv 2005.12872)."""

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0
_TINY = 1e-6  # DETR's; added to height and width


def sine_position_encoding(size: tuple[int, int], channels: int, device: torch.device) -> Tensor:
    """Return float32 [h w, C], row by row: the first half of the channels says y, the second x.

    Rows and columns count from 1 and end at 2 pi, so a place has the same numbers in maps of all
    sizes.

    Args:
        size: h, w of the map.
        channels: C, a multiple of 4 (sine and cosine for two coordinates).
    """
    if channels % 4:
        raise ValueError(f"channels must be a multiple of 4, got {channels}")
    height, width = size
    rows = _encode_axis(height, channels // 2, device)  # [h, C / 2]
    columns = _encode_axis(width, channels // 2, device)  # [w, C / 2]
    rows = rows[:, None].expand(height, width, -1)
    columns = columns[None].expand(height, width, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


def _encode_axis(length: int, channels: int, device: torch.device) -> Tensor:
    """Return [length, channels]: sines and cosines in turn, at ever lower frequencies."""
    steps = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    angles = steps / (length + _TINY) * (2 * math.pi)
    exponents = torch.arange(0, channels, 2, dtype=torch.float32, device=device) / channels
    angles = angles[:, None] / TEMPERATURE**exponents  # [length, channels / 2]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
