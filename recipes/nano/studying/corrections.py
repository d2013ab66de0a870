"""What a person's corrections are worth: PQ in a new domain against the number of corrected images.

    python -m recipes.nano.studying.corrections --work /tmp/nano/corrections --recipe fine_tune

The new domain is the demonstration style, which no training saw, with ten kinds of things that the
embedded decoder never saw masks of, among twenty kinds and six stuffs that it knows; these 36 words
are the vocabulary. A reviewer is simulated: of N scenes the truth is given. The model is trained on
them and measured on other scenes of the domain (which side a scene is on, its hash decides), and on
the probe set that comes with nano, whose unseen classes the labels never name: what it loses there
is forgotten.

Every cell of the table (recipe, N, seed) is a training of its own; finished ones are kept, so the
command can be stopped and given again. `--table` prints what there is.
"""

import argparse
import json
import logging
import shutil
import statistics
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from frozenseg_label import annotate, train
from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.header import read_checkpoint_info
from frozenseg_label.checkpoints.named_weights import find_weights, frozen_folder
from frozenseg_label.demo.atlas import demonstration_cutouts
from frozenseg_label.demo.scenes import draw_scene
from frozenseg_label.demo.textures import draw_textures
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.formats.coco_panoptic import (
    png_name,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.training.data.collect import TrainingData, collect
from frozenseg_label.training.data.labelled_images import LabelledImage
from frozenseg_label.training.loop.quality import MeasuredSet, score, true_map
from frozenseg_label.training.loop.report import ClassGroups
from frozenseg_label.training.loop.session_parts import build_names
from frozenseg_label.vocabulary import Vocabulary, read_vocabulary
from recipes.nano.making.probe import describe
from recipes.nano.making.world import read_concepts

SCENES, SIZE, FIRST_SEED = 520, 256, 6 * 10**9  # beyond those of all trainings and the probe set
TEST_SHARE = 0.2
NEW_THINGS, KNOWN_THINGS, STUFF = 10, 20, 6
STEPS = {10: 80, 30: 120}  # of so few images; the recipes' own for more
RECIPES = ("fine_tune", "fine_tune_cached", "head_only")
log = logging.getLogger("corrections")


def draw_domain(work: Path) -> None:
    """Draw all scenes with their truth into WORK/scenes, a COCO panoptic set; once."""
    out = work / "scenes"
    if (out / "panoptic.json").is_file():
        return
    (out / "images").mkdir(parents=True, exist_ok=True)
    chosen, stuff = domain_names()
    cutouts = {name: drawn for name, drawn in demonstration_cutouts().items() if name in chosen}
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


def domain_names() -> tuple[set[str], list[str]]:
    """Names of the things, new and known, and of the stuff; spread over all groups of concepts."""
    concepts = read_concepts()
    drawn = demonstration_cutouts()
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


def run_cell(
    work: Path, recipe: str, count: int, seed: int, settings: Sequence[str], edited: bool
) -> None:
    """Train on `count` scenes and write down what came out; nothing to do if that is done."""
    variant = ", ".join([recipe, *settings, *(["edited marked"] if edited else [])])
    cell = work / "cells" / f"{variant}-{count:03d}-{seed}".replace("/", "_")
    if (cell / "result.json").is_file():
        return
    shutil.rmtree(cell, ignore_errors=True)
    pool, test = split_domain(work)
    chosen = np.random.default_rng(seed).permutation(len(pool))[:count]
    labels = subset(work, cell / "labels", [pool[i] for i in chosen])
    if edited:
        mark_edited(work, labels / "panoptic.json")
    summary = train(
        labels,
        cell / "training",
        recipe=recipe,
        settings=[f"seed={seed}", *settings],
        max_steps=STEPS.get(count) if recipe != "head_only" else None,
        images=work / "scenes" / "images",
        cache_folder=work / "features" / recipe,
    )
    if summary.stopped:
        raise SystemExit(130)
    result = {
        "recipe": variant,
        "images": count,
        "seed": seed,
        "seconds": round(summary.seconds, 1),
        "best_step": summary.best_step,
        "forgetting": summary.forgetting,
        "test": measure(work, summary.checkpoint or "nano", test),
    }
    (cell / "result.json").write_text(json.dumps(result) + "\n")
    shutil.rmtree(cell / "training" / f"state-{summary.steps:08d}")
    log.info("%s", result)


def split_domain(work: Path) -> tuple[list[str], list[str]]:
    """Names of the scenes that may be corrected, and of those that are measured."""
    test = [image.name for image in domain(work).train if is_test(image)]
    return [image.name for image in domain(work).train if image.name not in test], test


def is_test(image: LabelledImage) -> bool:
    """Which side a scene is on; from other bits than those that a training splits its images by."""
    return int(image.digest[-8:], 16) < TEST_SHARE * 2**32


@cache
def domain(work: Path) -> TrainingData:
    """All scenes, checked."""
    return collect([work / "scenes"], None, None, held_out=0.0)


def subset(work: Path, folder: Path, names: Sequence[str]) -> Path:
    """A COCO panoptic set of some scenes, with the PNGs of all."""
    folder.mkdir(parents=True)
    (folder / "panoptic").symlink_to(work / "scenes" / "panoptic")
    whole = json.loads((work / "scenes" / "panoptic.json").read_text())
    whole["images"] = [row for row in whole["images"] if row["file_name"] in names]
    ids = {row["id"] for row in whole["images"]}
    whole["annotations"] = [row for row in whole["annotations"] if row["image_id"] in ids]
    (folder / "panoptic.json").write_text(json.dumps(whole))
    return folder


def mark_edited(work: Path, path: Path) -> None:
    """Let the segments that the embedded model had wrong count as edited, as in a real review."""
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


def measure(work: Path, weights: str | Path, names: Sequence[str]) -> dict[str, float]:
    """PQ in points on some scenes, means over the classes that occur in their truth."""
    data = domain(work)
    images = [image for image in data.train if image.name in names]
    model, info = load_checkpoint(find_weights(weights), frozen_folder())
    before = read_checkpoint_info(find_weights("nano")).seen_names
    classifier = build_names(model, info, data.vocabulary, info.seen_names)
    groups = ClassGroups.of(images, data.vocabulary, before, data.named_classes())
    tally = score(model, classifier, MeasuredSet(images, data.vocabulary), bf16=False)
    return groups.quality(tally)


def print_table(work: Path) -> None:
    """Print the cells that are done: mean and spread over the seeds."""
    rows = [json.loads(p.read_text()) for p in sorted((work / "cells").glob("*/result.json"))]
    print("| recipe | images | seeds | PQ | new classes | known classes | forgotten | minutes |")  # noqa: T201
    print("|---|---|---|---|---|---|---|---|")  # noqa: T201
    for recipe, count in sorted({(row["recipe"], row["images"]) for row in rows}):
        some = [row for row in rows if (row["recipe"], row["images"]) == (recipe, count)]
        figures = [
            _spread_of([row["test"][group] for row in some])
            for group in ("all", "new to the weights", "seen by the weights before")
        ]
        figures.append(
            _spread_of([row["forgetting"] for row in some if row["forgetting"] is not None])
        )
        figures.append(_spread_of([row["seconds"] / 60 for row in some]))
        print(f"| {recipe} | {count} | {len(some)} | {' | '.join(figures)} |")  # noqa: T201


def _spread_of(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def main() -> None:
    """Read the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("/tmp/nano/corrections"))
    parser.add_argument("--recipe", choices=RECIPES, action="append")
    parser.add_argument("--images", type=int, nargs="*", default=[10, 30, 100, 300])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--edited", action="store_true", help="mark what the model had wrong")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print what is done, train nothing")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    draw_domain(given.work)
    if not given.table:
        before = given.work / "before.json"
        if not before.is_file():
            before.write_text(json.dumps(measure(given.work, "nano", split_domain(given.work)[1])))
        log.info("before any correction: %s", before.read_text())
        for seed in given.seeds:
            for count in given.images:
                for recipe in given.recipe or RECIPES:
                    run_cell(given.work, recipe, count, seed, given.settings, given.edited)
    print_table(given.work)


if __name__ == "__main__":
    main()
