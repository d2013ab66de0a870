"""A domain that nano does not know: scenes of Twemoji, which no training saw.

Ten kinds of things that the embedded decoder never saw masks of, among twenty kinds and six stuffs
that it knows; these 36 words are the vocabulary. The truth of some scenes is given, as a reviewer
would give it; the other scenes are measured on.
"""

import json
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from frozenseg_label import annotate
from frozenseg_label.demo.scenes import draw_scene
from frozenseg_label.demo.textures import draw_textures
from frozenseg_label.demo.write_demo import demonstration_cutouts
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.formats.coco_panoptic import png_name, write_coco_panoptic, write_panoptic_png
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.training.data.collect import TrainingData, collect
from frozenseg_label.training.data.labelled_images import LabelledImage
from frozenseg_label.training.loop.quality import true_map
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.probe import describe
from recipes.nano.making.world import read_concepts

SCENES, SIZE, FIRST_SEED = 520, 256, 6 * 10**9  # beyond those of all trainings and the probe set
TEST_SHARE = 0.2
NEW_THINGS, KNOWN_THINGS, STUFF = 10, 20, 6


def draw_domain(work: Path) -> None:
    """Draw all scenes into WORK/scenes, a COCO panoptic set, unless it is there."""
    out = work / "scenes"
    if (out / "panoptic.json").is_file():
        return
    (out / "images").mkdir(parents=True, exist_ok=True)
    chosen, stuff = domain_names()
    cutouts = {
        name: drawn for name, drawn in demonstration_cutouts("unseen").items() if name in chosen
    }
    textures = draw_textures(np.random.default_rng(3), 2, SIZE + 96, names=stuff)
    words = read_vocabulary("stickers").categories
    names = {*chosen, *stuff}
    vocabulary = Vocabulary("domain", tuple(c for c in words if c.name in names))
    annotations = []
    for number in range(SCENES):
        scene = draw_scene(np.random.default_rng(FIRST_SEED + number), cutouts, textures, SIZE)
        name = f"scene-{number:04d}.png"
        Image.fromarray(scene.image).save(out / "images" / name)
        write_panoptic_png(out / "panoptic" / png_name(name), scene.ids)
        annotations.append(describe(scene, number + 1, name, vocabulary))
    write_coco_panoptic(out / "panoptic.json", vocabulary, annotations)


def domain_names(drawn: Collection[str] | None = None) -> tuple[set[str], list[str]]:
    """Return the names of the things, new and known, and of the stuff; all groups have some.

    Args:
        drawn: names of the things that have drawings; None: those of Twemoji.
    """
    concepts = read_concepts()
    drawn = demonstration_cutouts("unseen") if drawn is None else drawn
    things = [c for c in concepts if c.is_thing and c.name in drawn]
    new = [c.name for c in things if not c.seen]
    known = [c.name for c in things if c.seen]
    stuff = [c.name for c in concepts if not c.is_thing and c.seen]
    return (
        {*_spread(new, NEW_THINGS), *_spread(known, KNOWN_THINGS)},
        _spread(stuff, STUFF),
    )


def _spread(names: Sequence[str], count: int) -> list[str]:
    return [names[i * len(names) // count] for i in range(count)]


@cache
def domain(work: Path) -> TrainingData:
    """Return all scenes, checked."""
    return collect([work / "scenes"], None, None, held_out=0.0)


def split_domain(work: Path) -> tuple[list[str], list[str]]:
    """Return the names of the scenes that may be corrected, and of those that are measured."""
    test = [image.name for image in domain(work).train if is_test(image)]
    return [image.name for image in domain(work).train if image.name not in test], test


def is_test(image: LabelledImage) -> bool:
    """Say whether a scene is measured on.

    Its hash decides, by other bits than those that a training splits its images by.
    """
    return int(image.digest[-8:], 16) < TEST_SHARE * 2**32


def subset(work: Path, folder: Path, names: Sequence[str]) -> Path:
    """Write a COCO panoptic set of some scenes, with the PNGs of all; return its folder."""
    folder.mkdir(parents=True)
    (folder / "panoptic").symlink_to(work / "scenes" / "panoptic")
    whole = json.loads((work / "scenes" / "panoptic.json").read_text())
    whole["images"] = [row for row in whole["images"] if row["file_name"] in names]
    ids = {row["id"] for row in whole["images"]}
    whole["annotations"] = [row for row in whole["annotations"] if row["image_id"] in ids]
    (folder / "panoptic.json").write_text(json.dumps(whole))
    return folder


def mark_edited(work: Path, path: Path) -> None:
    """Mark the segments that the embedded model had wrong as edited, as in a real review."""
    rows = json.loads(path.read_text())
    names = {row["id"]: row["file_name"] for row in rows["images"]}
    vocabulary = domain(work).vocabulary
    pictures = [work / "scenes" / "images" / name for name in names.values()]
    run = path.parent / "proposals"
    annotate(pictures, run, vocabulary)
    truth = {image.name: image for image in domain(work).train}
    with RunFolder.read(run) as folder:
        for row in rows["annotations"]:
            name = names[row["image_id"]]
            overlap = overlap_of(folder.read_map(name), true_map(truth[name], vocabulary))
            right = {overlap.truth[pair.true].id for pair in overlap.pairs}
            for segment in row["segments_info"]:
                segment["state"] = "accepted" if segment["id"] in right else "edited"
    path.write_text(json.dumps(rows))
