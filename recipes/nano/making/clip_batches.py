"""Batches for CLIP's training: regions of pictures, and the class that each one shows.

First mosaics of 2 x 2 tiles, then crops of crowded scenes. A box gives an ellipse, and its vector
is pooled from the dense map exactly as masks are at inference (`embed_masks`), so that CLIP learns
to name parts of a whole picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recipes.nano.making.clip_pictures import SCENE, TILE, Captioned, draw_crowd, draw_tile
from recipes.nano.making.world import World

STRIDE = 16  # of the dense map
CROP = 192
MOSAIC_SHARE = 0.45  # of the iterations
MOSAICS, CROPS = 32, 16  # pictures of a batch: about as much work each
FRESH_TILES, FRESH_CROWDS = 16, 2  # drawn for each iteration; each serves in several
FIRST_CROWD = 10_000_000  # seeds below are those of tiles
PLAIN_UNTIL, RESTYLED_FROM = 0.15, 0.5  # of the iterations: between them restyled ones come in
RESTYLED_SHARE = 0.7  # from then on


@dataclass(frozen=True)
class RegionBatch:
    """A batch for CLIP.

    Attributes:
        pixels: uint8 [B, H, W, 3].
        masks: float32 [B, T, h, w] logits on the dense map's grid, > 0 inside.
        classes: int64 [B, T]; -1 = no region.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.float32]
    classes: NDArray[np.int64]


class Curriculum:
    """The batches in their order: first single stickers, then crowds, and more and more styles.

    Args:
        plain: the drawings as they are.
        restyled: the same with versions as other people might draw them.
        iterations: of the whole training.
    """

    def __init__(self, plain: World, restyled: World, iterations: int) -> None:
        self.plain, self.restyled, self.iterations = plain, restyled, iterations
        self.mosaics = round(MOSAIC_SHARE * iterations)
        self.tiles = Stream(self._tile, 4000, FRESH_TILES, 0)
        self.crowds = Stream(self._crowd, 1500, FRESH_CROWDS, FIRST_CROWD)

    def batch(self, rng: np.random.Generator, iteration: int) -> RegionBatch:
        """Return the batch of an iteration."""
        if iteration < self.mosaics:
            return mosaic_batch(rng, self.tiles, iteration, MOSAICS)
        return crop_batch(rng, self.crowds, iteration - self.mosaics, CROPS)

    def _tile(self, seed: int) -> Captioned:
        at = seed / FRESH_TILES
        world = self._world(seed, at / self.iterations)
        return draw_tile(world, seed, hard=min(at / self.mosaics, 1.0))

    def _crowd(self, seed: int) -> Captioned:
        at = self.mosaics + (seed - FIRST_CROWD) / FRESH_CROWDS
        return draw_crowd(self._world(seed, at / self.iterations), seed)

    def _world(self, seed: int, progress: float) -> World:
        ramp = (progress - PLAIN_UNTIL) / (RESTYLED_FROM - PLAIN_UNTIL)
        share = RESTYLED_SHARE * min(max(ramp, 0.0), 1.0)
        return self.restyled if np.random.default_rng([seed, 1]).random() < share else self.plain


class Stream:
    """A window that slides over an endless row of seeded pictures; each is in many batches.

    Args:
        draw: seed -> picture.
        window: pictures held at a time.
        fresh: new ones per iteration.
        first_seed: seeds below this belong to other streams.
    """

    def __init__(
        self, draw: Callable[[int], Captioned], window: int, fresh: int, first_seed: int
    ) -> None:
        self.draw, self.window, self.fresh, self.first_seed = draw, window, fresh, first_seed
        self.held: dict[int, Captioned] = {}

    def choose(self, rng: np.random.Generator, iteration: int, count: int) -> list[Captioned]:
        """Return pictures for an iteration; the same whether the run was resumed or not."""
        start = self.first_seed + iteration * self.fresh
        for seed in [seed for seed in self.held if seed < start]:
            del self.held[seed]
        for seed in range(start, start + self.window):
            if seed not in self.held:
                self.held[seed] = self.draw(seed)
        return [self.held[start + int(i)] for i in rng.integers(0, self.window, count)]


def mosaic_batch(
    rng: np.random.Generator, stream: Stream, iteration: int, count: int
) -> RegionBatch:
    """Return mosaics of 2 x 2 tiles, one region each."""
    tiles = stream.choose(rng, iteration, 4 * count)
    pixels = np.empty((count, 2 * TILE, 2 * TILE, 3), dtype=np.uint8)
    masks = np.full((count, 4, *2 * (2 * TILE // STRIDE,)), -1.0, dtype=np.float32)
    classes = np.empty((count, 4), dtype=np.int64)
    for number, tile in enumerate(tiles):
        picture, place = divmod(number, 4)
        top, left = TILE * (place // 2), TILE * (place % 2)
        mirrored = rng.random() < 0.5
        pixels[picture, top : top + TILE, left : left + TILE] = (
            tile.image[:, ::-1] if mirrored else tile.image
        )
        box = tile.boxes[0].copy()
        if mirrored:
            box[[0, 2]] = TILE - box[[2, 0]]
        masks[picture, place] = region_logits(
            rng, box + np.array([left, top, left, top], np.float32), 2 * TILE
        )
        classes[picture, place] = tile.classes[0]
    classes[(masks > 0).sum(axis=(2, 3)) == 0] = -1
    return RegionBatch(pixels, masks, classes)


def crop_batch(
    rng: np.random.Generator, stream: Stream, iteration: int, count: int, most: int = 12
) -> RegionBatch:
    """Return random crops of scenes, enlarged by 0.86 to 1.5."""
    pixels = np.empty((count, CROP, CROP, 3), dtype=np.uint8)
    masks = np.full((count, most, CROP // STRIDE, CROP // STRIDE), -1.0, dtype=np.float32)
    classes = np.full((count, most), -1, dtype=np.int64)
    for picture, scene in enumerate(stream.choose(rng, iteration, count)):
        side = int(rng.integers(128, 225))
        left, top = (int(offset) for offset in rng.integers(0, SCENE - side + 1, 2))
        window = Image.fromarray(scene.image[top : top + side, left : left + side])
        image = np.asarray(window.resize((CROP, CROP), Image.Resampling.BILINEAR))
        boxes = (scene.boxes - (left, top, left, top)) * (CROP / side)
        inside = np.clip(boxes, 0, CROP)
        if rng.random() < 0.5:
            image = image[:, ::-1]
            inside[:, [0, 2]] = CROP - inside[:, [2, 0]]
        pixels[picture] = image
        kept = np.flatnonzero(area(inside) >= 0.6 * area(boxes))
        for place, number in enumerate(rng.permutation(kept)[:most]):
            masks[picture, place] = region_logits(rng, inside[number], CROP)
            if (masks[picture, place] > 0).any():
                classes[picture, place] = scene.classes[number]
    return RegionBatch(pixels, masks, classes)


def jitter_colors(rng: np.random.Generator, batch: RegionBatch) -> RegionBatch:
    """Turn every picture's hue, change saturation, contrast and brightness: few styles train."""
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    from_yiq = np.linalg.inv(to_yiq)
    pixels = np.empty_like(batch.pixels)
    for number, picture in enumerate(batch.pixels):
        turn, saturation = rng.normal(0.0, 0.2), rng.uniform(0.6, 1.4)
        contrast = rng.uniform(0.8, 1.2)
        cosine, sine = saturation * np.cos(turn), saturation * np.sin(turn)
        chroma = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
        matrix = (contrast * from_yiq @ chroma @ to_yiq).astype(np.float32)
        offset = np.float32(128.0 * (1.0 - contrast) + rng.uniform(-20.0, 20.0))
        pixels[number] = np.clip(picture @ matrix.T + offset, 0.0, 255.0)
    return RegionBatch(pixels, batch.masks, batch.classes)


def area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the areas [N] of boxes [N, 4]."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def region_logits(
    rng: np.random.Generator, box: NDArray[np.float32], size: int
) -> NDArray[np.float32]:
    """Return an ellipse about as large as a box, as logits on the dense map's grid [h, w]."""
    centers = (np.arange(size // STRIDE) + 0.5) * STRIDE
    reach = rng.uniform(0.75, 1.1)
    across = (centers - (box[0] + box[2]) / 2) / max((box[2] - box[0]) / 2 * reach, 1.0)
    down = (centers - (box[1] + box[3]) / 2) / max((box[3] - box[1]) / 2 * reach, 1.0)
    return np.asarray(1.0 - down[:, None] ** 2 - across[None, :] ** 2, dtype=np.float32)
