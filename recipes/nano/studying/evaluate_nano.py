"""Measure the packed nano model on scenes that no training drew.

    OMP_NUM_THREADS=1 python -m recipes.nano.studying.evaluate_nano --role validate --out FILE

CLIP on single stickers and on true masks, SAM from one point, recall of the decoder's and of SAM's
masks, PQ and mIoU of all words, and seconds a picture; then, with the same masks, the figures of
each branch by itself, other weights of the branches, fewer templates, no synonyms and SAM's masks.
`--role test` is run once per released weights.
"""

import argparse
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.settings import EnsembleSettings, MergeSettings
from frozenseg_label.model.text_classifier import TEMPLATES, TextClassifier, encode_names
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.clip_evaluation import crop_accuracy
from recipes.nano.making.sam_evaluation import evaluate_sam
from recipes.nano.making.world import DEFAULT_ASSETS, World, load_world
from recipes.nano.studying.measures import Measures
from recipes.nano.studying.ways import Way, own_ways

FIRST_SEED = 4 * 10**9  # beyond those of all trainings
TIMED_SCENES = 20
SINGLE_STICKERS = 1000
logger = logging.getLogger(__name__)


def evaluate(weights: str, world: World, count: int, brief: bool) -> dict[str, float]:
    """Measure the model on `count` scenes of a world.

    Args:
        brief: only nano's own way and the one with SAM's masks, without the ways to compare with.
    """
    predictor = PredictorSpec(weights, read_vocabulary("stickers")).load()
    model, names = predictor.model, predictor.names
    figures = {
        "CLIP on single stickers": crop_accuracy(
            model.clip,
            world,
            encode_names(model.clip, [c.name for c in predictor.vocabulary.categories]),
            SINGLE_STICKERS,
        ),
        **{
            f"SAM from one point, {k}": 100 * v
            for k, v in evaluate_sam(model.sam, world, count, FIRST_SEED).items()
        },
        "seconds a picture": seconds_a_picture(weights, world, sam_masks=False),
        "seconds a picture with SAM's masks": seconds_a_picture(weights, world, sam_masks=True),
    }
    measures = Measures(predictor.vocabulary, names.seen)
    ways = own_ways(model, names)
    if not brief:
        ways |= other_ways(model, predictor.vocabulary, names)
    with torch.inference_mode():
        for number in range(count):
            measures.add(model, world.scene(FIRST_SEED + number), ways)
            if (number + 1) % 50 == 0:
                logger.info("%d of %d scenes", number + 1, count)
    rounded = {name: round(value, 3) for name, value in figures.items()}
    return rounded | measures.figures() | measures.errors()


def other_ways(model: FrozenSeg, vocabulary: Vocabulary, names: TextClassifier) -> dict[str, Way]:
    """Return the ways that nano's own is compared with."""
    own = own_ways(model, names)["whole"]
    ensemble, merge = own.ensemble, own.merge
    bare = Vocabulary(
        "without synonyms",
        tuple(Category(c.name, c.id, (), c.is_thing) for c in vocabulary.categories),
    )
    known = {
        name
        for category, is_seen in zip(vocabulary.categories, names.seen, strict=True)
        if is_seen
        for name in category.names
    }
    one, one_bare, all_bare = (
        build_text_classifier(model.clip, words, known, clip_fingerprint="", templates=templates)
        for words, templates in (
            (vocabulary, TEMPLATES[:1]),
            (bare, TEMPLATES[:1]),
            (bare, TEMPLATES),
        )
    )
    ways = {
        "with as many colour regions": replace(own, extra="color regions"),
        "decoder branch alone": replace(own, ensemble=replace(ensemble, alpha=0.0, beta=0.0)),
        "CLIP branch alone": replace(own, ensemble=replace(ensemble, alpha=1.0, beta=1.0)),
        "one template": replace(own, names=one),
        "no synonyms": replace(own, names=all_bare),
        "one template, no synonyms": replace(own, names=one_bare),
        "ensemble and merge as published": Way(names, EnsembleSettings(), MergeSettings()),
    }
    for part, values in (
        ("alpha", (0.0, 0.2, 0.4, 0.6, 0.8)),
        ("beta", (0.4, 0.6, 0.8, 1.0)),
        ("void_bias", (0.0, -1.0, -2.0)),
    ):
        for value in values:
            other = replace(ensemble, **{part: value})
            if other != ensemble:
                ways[f"{part.replace('_', ' ')} {value}"] = replace(own, ensemble=other)
    for most in (1.0, 0.8, 0.6, 0.4):
        if most != merge.max_mask_iou:
            ways[f"masks of one thing: IoU above {most}"] = replace(
                own, merge=replace(merge, max_mask_iou=most)
            )
    for score in (0.1, 0.2, 0.3):
        ways[f"segments above {score}"] = replace(own, min_score=score)
    return ways


def seconds_a_picture(weights: str, world: World, *, sam_masks: bool) -> float:
    """Return the median CPU seconds from pixels to labels, on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    predictor = PredictorSpec(weights, read_vocabulary("stickers"), sam_masks=sam_masks).load()
    size = predictor.model.input_size
    taken = []
    for number in range(TIMED_SCENES + 2):
        image = prepare_image(
            world.scene(FIRST_SEED + number).image, size.shortest, size.longest, size.divisor
        )
        start = time.process_time()
        predictor.predict([image])
        taken.append(time.process_time() - start)
    torch.set_num_threads(threads)
    return float(np.median(taken[2:]))  # the first ones warm up


def main() -> None:
    """Read the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--role", choices=("train", "validate", "test", "demo"), default="validate")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--brief", action="store_true", help="without the ways to compare with")
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    world = load_world(given.role, given.assets)
    figures = evaluate(given.weights, world, given.scenes, given.brief)
    for name, value in figures.items():
        logger.info("%-50s %7.2f", name, value)
    if given.out:
        given.out.write_text(json.dumps({"arguments": str(given), **figures}, indent=1))


if __name__ == "__main__":
    main()
