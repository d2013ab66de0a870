"""What a memory of corrections and a training on them bring, each and together.

    OMP_NUM_THREADS=1 python -m recipes.nano.studying.memory_and_training --work WORK

Scenes of `studying.memory`, in a style that no choice about the memory saw. All segments of some
scenes are corrected. The memory has these segments, the training these scenes; both name and
measure the same other scenes. After the training the memory is tuned anew, as `annotate` does it.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from frozenseg_label import train
from frozenseg_label.demo.scenes import Scene
from frozenseg_label.formats.coco_panoptic import png_name, write_coco_panoptic, write_panoptic_png
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.probe import describe
from recipes.nano.making.world import DEFAULT_ASSETS
from recipes.nano.studying.drawn_scenes import STUDY_STYLES, domain_drawings, domain_scenes
from recipes.nano.studying.kept_scenes import keep_scenes, write_drawn
from recipes.nano.studying.memory import Looked, looked_at, remember, score

EVERY = 10**6  # more segments of a class than there are

log = logging.getLogger("memory_and_training")


def main() -> None:
    """Read the command line, measure, print a line for each way."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--style", choices=STUDY_STYLES, default="trained")
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--corrected", type=int, default=40, help="scenes")
    parser.add_argument("--measured", type=int, default=80, help="scenes")
    parser.add_argument("--recipe", default="fine_tune_cached")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    given = parser.parse_args()
    vocabulary = read_vocabulary("stickers")
    drawings = domain_drawings(given.style, given.assets)
    count = given.corrected + given.measured
    drawn = list(domain_scenes(drawings, given.style, count))
    write_drawn(given.work, drawn)
    first, others = drawn[: given.corrected], range(given.corrected, count)
    before = PredictorSpec("nano", vocabulary).load()
    corrected = _look(before, given.work, range(given.corrected))
    looked = _look(before, given.work, others)
    _measure("none", before, before, looked, seconds=0.0)
    _measure_memory("memory", before, before, corrected, looked, seconds=0.0)

    labels = _write_labels(given.work / "labels", first, vocabulary)
    summary = train(
        labels,
        given.work / "training",
        recipe=given.recipe,
        settings=[f"seed={given.seed}"],
        max_steps=given.steps,
        images=labels / "images",
        probe="none",
    )
    if summary.checkpoint is None:
        raise SystemExit("the training was stopped")
    after = PredictorSpec(str(summary.checkpoint), vocabulary).load()
    looked = _look(after, given.work, others)
    _measure("train", after, before, looked, summary.seconds)
    _measure_memory("both", after, before, corrected, looked, summary.seconds)


@torch.inference_mode()
def _look(predictor: Predictor, folder: Path, numbers: Sequence[int]) -> list[Looked]:
    return [looked_at(predictor, scene) for scene in keep_scenes(folder, predictor, numbers)]


@torch.inference_mode()
def _measure(
    way: str, predictor: Predictor, before: Predictor, looked: Sequence[Looked], seconds: float
) -> None:
    """Print the figures of a way; seen are the names that the first weights have seen."""
    made = [predictor.name_proposals(scene.proposals).panoptic for scene in looked]
    figures = score(before, looked, made)
    log.info("%s", json.dumps({"way": way, "seconds": round(seconds, 1), **figures}))


@torch.inference_mode()
def _measure_memory(
    way: str,
    predictor: Predictor,
    before: Predictor,
    corrected: Sequence[Looked],
    looked: Sequence[Looked],
    seconds: float,
) -> None:
    """Print the figures with all corrected segments as memory, and the time of one image more."""
    started = time.perf_counter()
    classes = {segment.category_id for scene in corrected for segment in scene.truth.segments}
    memory = remember(predictor, corrected, EVERY, classes, seed=0)
    remembering = replace(predictor, memory=memory)
    remembering.name_proposals(looked[0].proposals)
    seconds += time.perf_counter() - started
    log.info("%d segments of %d classes", len(memory.classes), len(classes))
    _measure(way, remembering, before, looked, seconds)


def _write_labels(folder: Path, scenes: Sequence[Scene], vocabulary: Vocabulary) -> Path:
    """Write scenes as a reviewed COCO panoptic set with its images; return its folder."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, scene in enumerate(scenes):
        name = f"scene-{number:04d}.png"
        Image.fromarray(scene.image).save(folder / "images" / name)
        write_panoptic_png(folder / "panoptic" / png_name(name), scene.ids)
        rows.append(describe(scene, number + 1, name, vocabulary))
    write_coco_panoptic(folder / "panoptic.json", vocabulary, rows)
    return folder


if __name__ == "__main__":
    main()
