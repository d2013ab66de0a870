"""Measure the packed nano model on scenes that no training drew, and what each branch contributes.

    python recipes/nano/evaluate.py --role demo --scenes 200 --out /tmp/nano/evaluation.json

PQ, SQ and RQ in per cent, means over the classes that occur, seen and unseen apart; then the
same without the query injector, the feature injector and the CLIP branch, with the share of pixels
that get another label.
"""

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from decoder_scores import true_map
from numpy.typing import NDArray
from world import DEFAULT_ASSETS, load_world, read_concepts

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.inference.load_predictor import load_predictor
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.vocabulary import read_vocabulary

FIRST_SEED = 4 * 10**9  # beyond those of all trainings
logger = logging.getLogger(__name__)


def without_query_injector(model: FrozenSeg) -> None:
    """SAM no longer joins the queries."""
    model.transformer_decoder.inject_queries = False


def without_feature_injector(model: FrozenSeg) -> None:
    """SAM no longer joins the coarsest tokens."""
    for layer in model.transformer_decoder.layers:
        layer.feature_injector = None


def without_clip_branch(model: FrozenSeg) -> None:
    """The decoder's own class embeddings name all masks."""
    model.alpha = model.beta = 0.0


SWITCHES: Mapping[str, Callable[[FrozenSeg], None]] = {
    "whole": lambda model: None,
    "without query injector": without_query_injector,
    "without feature injector": without_feature_injector,
    "without CLIP branch": without_clip_branch,
}


def evaluate(
    weights: str, role: str, count: int, assets: Path, min_score: float, sam_masks: bool
) -> dict[str, dict[str, float]]:
    """Score the model with each switch on the same scenes."""
    vocabulary = read_vocabulary("stickers")
    world = load_world(role, assets)
    scenes = [world.scene(FIRST_SEED + number) for number in range(count)]
    results, whole = {}, None
    for name, switch in SWITCHES.items():
        predictor = load_predictor(weights, vocabulary, min_score=min_score, sam_masks=sam_masks)
        switch(predictor.model)
        scores, labels = score(predictor, scenes)
        whole = labels if whole is None else whole
        changed = [(a != b).mean() for a, b in zip(whole, labels, strict=True)]
        results[name] = {**scores, "pixels changed": round(100.0 * float(np.mean(changed)), 2)}
        logger.info("%-26s %s", name, results[name])
    return results


def score(
    predictor: Predictor, scenes: Sequence[Scene]
) -> tuple[dict[str, float], list[NDArray[np.int64]]]:
    """Return PQ, SQ, RQ of seen and unseen classes, and the category of every pixel."""
    tally, occurring = PanopticTally(), set()
    input_size, labels = predictor.model.input_size, []
    for scene in scenes:
        image = prepare_image(
            scene.image, input_size.shortest, input_size.longest, input_size.divisor
        )
        (prediction,) = predictor.predict([image])
        made, truth = prediction.panoptic, true_map(scene, predictor.vocabulary)
        occurring |= {segment.category_id for segment in truth.segments}
        tally.add(made, truth)
        category_of = np.zeros(int(made.ids.max()) + 1, dtype=np.int64)
        for segment in made.segments:
            category_of[segment.id] = segment.category_id
        labels.append(category_of[made.ids])
    names = {concept.name for concept in read_concepts() if concept.seen}
    seen = {category.id for category in predictor.vocabulary.categories if category.name in names}
    scores = {}
    for group, members in (("seen", occurring & seen), ("unseen", occurring - seen)):
        mean = tally.mean(members)
        for figure in ("pq", "sq", "rq"):
            scores[f"{figure.upper()} {group}"] = round(100.0 * getattr(mean, figure), 2)
    return scores, labels


def main() -> None:
    """Read the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--role", choices=("train", "validate", "test", "demo"), default="validate")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--min-score", type=float, default=0.0)
    parser.add_argument("--sam-masks", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = evaluate(
        given.weights, given.role, given.scenes, given.assets, given.min_score, given.sam_masks
    )
    if given.out:
        given.out.write_text(json.dumps({"arguments": str(given), **results}, indent=1))


if __name__ == "__main__":
    main()
