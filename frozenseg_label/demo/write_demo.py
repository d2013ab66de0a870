"""Demonstration images of the nano world, and their true labels where asked for."""

from pathlib import Path

import numpy as np
from PIL import Image

from frozenseg_label.demo.atlas import demonstration_cutouts
from frozenseg_label.demo.scenes import Scene, draw_scene
from frozenseg_label.demo.textures import draw_textures
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    measure,
    png_name,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Vocabulary, read_vocabulary

VOCABULARY = "stickers"
SHEET = 352  # pixels; large enough for every piece that a scene of 384 pixels cuts out
TEXTURE_SEED = 3  # the trainings' sheets come from other seeds (recipes/nano/world.py)


def write_demo(
    folder: Path, count: int = 12, seed: int = 0, truth: Path | None = None, size: int = 384
) -> list[Path]:
    """Write demonstration images `demo-0000.png` ...; the same arguments write the same files.

    Args:
        folder: made where it does not exist.
        count: number of images.
        seed: of the first image; image i of seed s is image 0 of seed s + i.
        truth: folder for the true labels: `panoptic.json` and `panoptic/`, as `annotate` has them.
        size: height and width in pixels, at least 64.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if size < 64:
        raise ValueError(f"size must be at least 64, got {size}")
    vocabulary = read_vocabulary(VOCABULARY)
    things = {category.name for category in vocabulary.categories if category.is_thing}
    stuff = [category.name for category in vocabulary.categories if not category.is_thing]
    cutouts = {name: drawn for name, drawn in demonstration_cutouts().items() if name in things}
    textures = draw_textures(np.random.default_rng(TEXTURE_SEED), 1, SHEET, names=stuff)
    folder.mkdir(parents=True, exist_ok=True)
    paths, annotations = [], []
    for number in range(count):
        scene = draw_scene(np.random.default_rng(seed + number), cutouts, textures, size)
        paths.append(folder / f"demo-{number:04d}.png")
        Image.fromarray(scene.image).save(paths[-1])
        if truth is not None:
            annotations.append(_write_truth(truth, paths[-1].name, number + 1, scene, vocabulary))
    if truth is not None:
        write_coco_panoptic(truth / "panoptic.json", vocabulary, annotations)
    return paths


def _write_truth(
    folder: Path, name: str, image_id: int, scene: Scene, vocabulary: Vocabulary
) -> PanopticAnnotation:
    """Write a scene's ids as a panoptic PNG and describe it; what is true counts as reviewed."""
    path = folder / "panoptic" / png_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_panoptic_png(path, scene.ids)
    category_ids = {category.name: category.id for category in vocabulary.categories}
    measured = measure(scene.ids)
    segments = tuple(
        Segment(
            id=segment.id,
            category_id=category_ids[segment.name],
            is_thing=segment.is_thing,
            area=measured[segment.id][0],
            bbox=measured[segment.id][1],
            state="accepted",
        )
        for segment in scene.segments
    )
    height, width = scene.ids.shape
    return PanopticAnnotation(image_id, name, path.name, width, height, segments, state="reviewed")
