"""Pictures with captioned boxes, no masks: what CLIP is trained on.

Two kinds. Tiles show one sticker or one stuff each, cheap and easy. In crowded scenes every thing
has a box, and a stuff's caption belongs to a box that shows little else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.demo.scenes import Scene, draw_scene
from recipes.nano.making.world import World

TILE = 64  # pixels of a tile's side
SCENE = 256  # of a crowded scene's


@dataclass(frozen=True)
class Captioned:
    """A picture and its captioned boxes.

    Attributes:
        image: uint8 [H, W, 3].
        boxes: float32 [N, 4] x0, y0, x1, y1 in pixels.
        classes: int64 [N], positions in `World.concepts`.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]


def draw_tile(world: World, seed: int, hard: float) -> Captioned:
    """Draw one tile: a sticker on some ground, or (1 in 6) only stuff.

    Args:
        hard: 0 = large; 1 = of any size that scenes have.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 1 / 6:
        scene = draw_scene(rng, {}, world.textures, TILE * 2, things=(0, 0))
        left, top = rng.integers(0, TILE + 1, 2)
        image = scene.image[top : top + TILE, left : left + TILE]
        ids = scene.ids[top : top + TILE, left : left + TILE]
        winner = int(np.bincount(ids.ravel()).argmax())
        names = {segment.id: segment.name for segment in scene.segments}
        if winner in names:
            box = np.array([[0, 0, TILE, TILE]], dtype=np.float32)
            return Captioned(image, box, class_numbers(world, [names[winner]]))
    side = (0.75 - 0.3 * hard, 0.98)
    while True:
        scene = draw_scene(rng, world.cutouts, world.textures, TILE, things=(1, 1), side=side)
        boxes, names_found = thing_boxes(scene)
        if names_found:
            return Captioned(scene.image, boxes, class_numbers(world, names_found))


def draw_crowd(world: World, seed: int) -> Captioned:
    """Draw a crowded scene with boxes of its things and some boxes of its stuff."""
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, world.cutouts, world.textures, SCENE, things=(6, 12), side=(0.14, 0.5))
    boxes, names = thing_boxes(scene)
    stuff_boxes, stuff_names = stuff_patches(rng, scene)
    return Captioned(
        scene.image,
        np.concatenate([boxes, stuff_boxes]),
        class_numbers(world, [*names, *stuff_names]),
    )


def class_numbers(world: World, names: list[str]) -> NDArray[np.int64]:
    """Return the positions of names among the world's concepts."""
    numbers = {concept.name: number for number, concept in enumerate(world.concepts)}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def thing_boxes(scene: Scene) -> tuple[NDArray[np.float32], list[str]]:
    """Return boxes [N, 4] and names of the things that fill at least 40 % of their box."""
    boxes, names = [], []
    for segment in scene.segments:
        if segment.is_thing:
            rows, columns = np.nonzero(scene.ids == segment.id)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            if len(rows) >= 0.4 * (box[2] - box[0]) * (box[3] - box[1]):
                boxes.append(box)
                names.append(segment.name)
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), names


def stuff_patches(
    rng: np.random.Generator, scene: Scene, tries: int = 12, most: int = 4
) -> tuple[NDArray[np.float32], list[str]]:
    """Return random boxes [N, 4] that one stuff fills to at least 70 %, and its names."""
    stuff = {segment.id: segment.name for segment in scene.segments if not segment.is_thing}
    size = scene.ids.shape[0]
    boxes: list[tuple[int, int, int, int]] = []
    names = []
    for _ in range(tries):
        width, height = (int(length) for length in rng.integers(size // 6, size // 2, 2))
        left, top = int(rng.integers(0, size - width)), int(rng.integers(0, size - height))
        counts = np.bincount(scene.ids[top : top + height, left : left + width].ravel())
        winner = int(counts.argmax())
        if winner in stuff and counts[winner] >= 0.7 * width * height and len(boxes) < most:
            boxes.append((left, top, left + width, top + height))
            names.append(stuff[winner])
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), names
