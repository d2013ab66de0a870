"""Draw the probe set of the embedded model, which shows whether a fine-tuning forgets.

    python -m recipes.nano.making.probe            # after recipes.nano.making.assets

Scenes in the training styles, from seeds that no training and no evaluation uses: every unseen
kind of thing, a third as many seen ones, and all stuff. The set is beside the weights, as JPEG
pictures with COCO panoptic truth, reviewed; the same command draws the same set.
"""

import argparse
import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

from frozenseg_label.demo.scenes import Scene, draw_scene
from frozenseg_label.files import atomic_write
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.world import DEFAULT_ASSETS, ROOT, Concept, load_world

FIRST_SEED = 5 * 10**9  # beyond those of all trainings and evaluations
SCENES = 96
SIZE = 256  # pixels, nano's input
JPEG_QUALITY = 85
SEEN_SHARE = 1 / 3  # seen kinds of things for each unseen one
OUT = ROOT / "frozenseg_label/weights/nano-probe"


def draw_probe(out: Path, assets: Path, count: int) -> None:
    """Write OUT/images, OUT/panoptic and OUT/panoptic.json; earlier scenes there are replaced."""
    for folder in (out / "images", out / "panoptic"):
        for earlier in folder.glob("probe-*"):
            earlier.unlink()
    world = load_world("train", assets)
    chosen = choose_things(world.concepts)
    cutouts = {name: drawn for name, drawn in world.cutouts.items() if name in chosen}
    vocabulary = read_vocabulary("stickers")
    annotations = []
    for number in range(count):
        rng = np.random.default_rng(FIRST_SEED + number)
        scene = draw_scene(rng, cutouts, world.textures, SIZE)
        name = f"probe-{number:04d}.jpg"
        picture = io.BytesIO()
        Image.fromarray(scene.image).save(picture, "JPEG", quality=JPEG_QUALITY, optimize=True)
        atomic_write(out / "images" / name, picture.getvalue())
        write_panoptic_png(out / "panoptic" / png_name(name), scene.ids)
        annotations.append(describe(scene, number + 1, name, vocabulary))
    write_coco_panoptic(out / "panoptic.json", vocabulary, annotations)


def choose_things(concepts: Collection[Concept]) -> set[str]:
    """Return the names of all unseen things, and of a third as many seen ones."""
    unseen = [concept.name for concept in concepts if concept.is_thing and not concept.seen]
    seen = [concept.name for concept in concepts if concept.is_thing and concept.seen]
    rng = np.random.default_rng(FIRST_SEED)
    some = rng.choice(seen, round(SEEN_SHARE * len(unseen)), replace=False)
    return {*unseen, *some.tolist()}


def describe(scene: Scene, image_id: int, name: str, vocabulary: Vocabulary) -> PanopticAnnotation:
    """Return a scene's row in the COCO panoptic file: all of it is accepted and reviewed."""
    segments = scene.truth(vocabulary).segments
    height, width = scene.ids.shape
    return PanopticAnnotation(image_id, name, png_name(name), width, height, segments, "reviewed")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--scenes", type=int, default=SCENES)
    given = parser.parse_args()
    draw_probe(given.out, given.assets, given.scenes)


if __name__ == "__main__":
    main()
