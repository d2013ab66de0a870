"""Scenes of the nano world for SAM: an image, points on it, and the segment under each point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recipes.nano.making.world import World

SMALLEST = 40  # visible pixels; smaller segments have no cell of its own on SAM's 64 x 64 masks
CELLS = 64  # side of SAM's masks
CROPPED = 0.3  # share of the scenes that are cut and stretched, so that scale and aspect ratio vary


@dataclass(frozen=True)
class PointBatch:
    """B scenes with P points each.

    Attributes:
        images: float [B, 3, S, S] RGB, 0..255.
        ids: int64 [B, S, S], segment of each pixel; 0 = void.
        things: bool [B, S, S], pixel of a thing.
        points: [B, P, 2], x and y in 0..1.
        targets: [B, P, 64, 64], share of each cell that the point's segment covers.
        on_thing: bool [B, P].
    """

    images: Tensor
    ids: Tensor
    things: Tensor
    points: Tensor
    targets: Tensor
    on_thing: Tensor

    def to(self, device: torch.device) -> "PointBatch":
        """Return the batch on a device."""
        return PointBatch(*(tensor.to(device) for tensor in vars(self).values()))


def draw_batch(
    world: World, seeds: Sequence[int], points: int, size: int, vary: bool
) -> PointBatch:
    """Draw one scene per seed, with points that are spread evenly over its segments.

    Args:
        vary: cut, stretch and recolour the scenes; for training, not for evaluation.
    """
    parts = [_draw_scene(world, seed, points, size, vary) for seed in seeds]
    images, ids, things, xy, chosen, on_thing = (torch.stack(p) for p in zip(*parts, strict=True))
    covered = (ids[:, None] == chosen[..., None, None]).float()  # [B, P, S, S]
    targets = F.adaptive_avg_pool2d(covered, CELLS)  # [B, P, 64, 64]
    return PointBatch(images, ids, things, xy, targets, on_thing)


def _draw_scene(
    world: World, seed: int, points: int, size: int, vary: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    scene = world.scene(seed, size)
    rng = np.random.default_rng([seed, 1])
    image = torch.from_numpy(scene.image).permute(2, 0, 1).float()  # [3, S, S]
    ids = torch.from_numpy(scene.ids).long()  # [S, S]
    if vary:
        if rng.random() < CROPPED:
            image, ids = _cut_and_stretch(rng, image, ids)
        image = _recolour(rng, image)
    is_thing = torch.zeros(int(ids.max()) + 1, dtype=torch.bool)
    for segment in scene.segments:
        if segment.is_thing and segment.id < len(is_thing):
            is_thing[segment.id] = True
    rows, columns, chosen = _points_on_segments(rng, ids.numpy(), is_thing.numpy(), points)
    xy = (torch.from_numpy(np.stack([columns, rows], axis=1)).float() + 0.5) / size  # [P, 2]
    picked = torch.from_numpy(chosen)
    return image, ids, is_thing[ids], xy, picked, is_thing[picked]


def _points_on_segments(
    rng: np.random.Generator, ids: NDArray[np.int64], is_thing: NDArray[np.bool_], points: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Choose segments, things twice as often as stuff, and a random visible pixel of each.

    Returns:
        Rows [P], columns [P], segments [P].
    """
    areas = np.bincount(ids.ravel(), minlength=len(is_thing))
    areas[0] = 0
    candidates = np.flatnonzero(areas >= SMALLEST)
    if not len(candidates):  # all void: never drawn, but a cut may come close
        candidates = np.array([int(areas.argmax())])
    weights = np.where(is_thing[candidates], 2.0, 1.0)
    order = rng.choice(
        candidates, len(candidates), replace=False, p=weights / weights.sum()
    )  # [segments]
    chosen = np.resize(order, points)
    pixels = [rng.choice(np.flatnonzero(ids == segment)) for segment in chosen]
    rows, columns = np.divmod(np.asarray(pixels), ids.shape[1])
    return rows, columns, chosen


def _cut_and_stretch(rng: np.random.Generator, image: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cut a rectangle out and stretch it to the whole square, as `FrozenSam.encode` stretches."""
    size = ids.shape[0]
    height, width = rng.integers(size * 9 // 16, size + 1, 2)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    box = (..., slice(top, top + height), slice(left, left + width))
    stretched = F.interpolate(image[box][None], (size, size), mode="bilinear", align_corners=False)
    nearest = F.interpolate(ids[box][None, None].float(), (size, size), mode="nearest-exact")
    return stretched[0], nearest[0, 0].long()


def _recolour(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Mix and shift the colours a little; sometimes swap channels or drop the colour."""
    mix = np.eye(3) + 0.08 * rng.standard_normal((3, 3))
    if rng.random() < 0.08:
        mix = mix[rng.permutation(3)]
    if rng.random() < 0.05:
        mix = np.full((3, 3), 1 / 3)
    contrast, brightness = rng.uniform(0.7, 1.25), rng.uniform(-25, 25)
    matrix = torch.from_numpy(mix * contrast).float()
    mixed = torch.einsum("dc,chw->dhw", matrix, image - 128.0) + 128.0 + brightness
    if rng.random() < 0.2:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        mixed = mixed + torch.randn(image.shape, generator=generator) * rng.uniform(2, 12)
    return mixed.clamp(0, 255)
