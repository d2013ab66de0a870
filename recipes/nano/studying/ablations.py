"""The worth of SAM's injection into the decoder: decoders from scratch, with it and without.

    OMP_NUM_THREADS=1 python -m recipes.nano.studying.ablations --clip CLIP --sam SAM --out OUT

Every arm is trained with every seed on the same pool of scenes for the same number of steps, then
measured on the same scenes of the validation style. OUT/results.jsonl gets a line for each, and is
where the same command goes on. A table of means and standard deviations is printed at the end.
"""

import argparse
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch

from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.transformer_decoder import DecoderLayer
from frozenseg_label.training.settings import read_settings
from recipes.nano.making.stage_files import read_lines
from recipes.nano.making.train_decoder import RECIPE, build_model, learn, see_pool, vocabulary_of
from recipes.nano.making.world import DEFAULT_ASSETS, load_world, read_concepts, seen_names
from recipes.nano.studying.evaluate_nano import FIRST_SEED
from recipes.nano.studying.measures import Measures
from recipes.nano.studying.ways import own_ways

RESULTS = "results.jsonl"
logger = logging.getLogger(__name__)


def without_query_injector(model: FrozenSeg) -> None:
    """Keep SAM out of the queries."""
    model.transformer_decoder.inject_queries = False


def without_feature_injector(model: FrozenSeg) -> None:
    """Keep SAM out of the coarsest tokens."""
    for layer in model.transformer_decoder.layers:
        cast("DecoderLayer", layer).feature_injector = None


def without_both(model: FrozenSeg) -> None:
    """Keep SAM out of the whole decoder."""
    without_query_injector(model)
    without_feature_injector(model)


ARMS: Mapping[str, Callable[[FrozenSeg], None]] = {
    "both": lambda model: None,
    "query injection only": without_feature_injector,
    "feature injection only": without_query_injector,
    "none": without_both,
}


def ablate(
    clip: Path, sam: Path, out: Path, assets: Path, steps: int, seeds: int, scenes: int, tests: int
) -> None:
    """Train and measure the runs that OUT/results.jsonl lacks, one seed after the other."""
    out.mkdir(parents=True, exist_ok=True)
    done = read_results(out)
    todo = [(seed, arm) for seed in range(seeds) for arm in ARMS if (seed, arm) not in done]
    pool = see_pool(build_model(clip, sam, 0), assets, scenes) if todo else None
    for seed, arm in todo:
        model = build_model(clip, sam, seed)
        ARMS[arm](model)
        settings = read_settings(RECIPE).with_steps(steps).model_copy(update={"seed": seed})
        folder = out / f"{arm.replace(' ', '-')}-{seed}"
        assert pool is not None
        if not learn(model, pool, folder, settings, None):
            return  # told to stop
        figures = measure(model, assets, tests)
        with (out / RESULTS).open("a") as results:
            results.write(json.dumps({"arm": arm, "seed": seed, **figures}) + "\n")
        logger.info("%s, seed %d: %s", arm, seed, figures)
    print_table(out)


def measure(model: FrozenSeg, assets: Path, tests: int) -> dict[str, float]:
    """Return PQ, mIoU and recall on scenes of the validation style."""
    model.eval().cpu()
    concepts = read_concepts()
    vocabulary, known = vocabulary_of(concepts), seen_names(concepts)
    names = build_text_classifier(model.clip, vocabulary, known, clip_fingerprint="")
    ways = own_ways(model, names)
    measures, world = Measures(vocabulary, names.seen), load_world("validate", assets)
    with torch.inference_mode():
        for number in range(tests):
            measures.add(model, world.scene(FIRST_SEED + number), ways)
    return measures.figures()


def read_results(out: Path) -> set[tuple[int, str]]:
    """Return seed and arm of the runs that have been measured."""
    return {(row["seed"], row["arm"]) for row in read_lines(out / RESULTS)}


def print_table(out: Path) -> None:
    """Log mean and standard deviation over the seeds, for each arm."""
    rows = read_lines(out / RESULTS)
    figures = [name for name in rows[0] if name not in ("arm", "seed")]
    for figure in figures:
        cells = []
        for arm in ARMS:
            values = [row[figure] for row in rows if row["arm"] == arm]
            if values:
                spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
                cells.append(f"{arm} {np.mean(values):.1f} +- {spread:.1f} ({len(values)})")
        logger.info("%-40s %s", figure, ", ".join(cells))


def main() -> None:
    """Read the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="folder with clip.safetensors")
    parser.add_argument("--sam", type=Path, required=True, help="folder with sam.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=800, help="of the pool")
    parser.add_argument("--tests", type=int, default=100, help="scenes that are measured on")
    ablate(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
