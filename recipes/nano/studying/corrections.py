"""What a person's corrections are worth: PQ in a new domain against the number of corrected images.

    python -m recipes.nano.studying.corrections --work /tmp/nano/corrections --recipe fine_tune

A reviewer is simulated: of N scenes of the domain (`new_domain`) the truth is given. The model is
trained on them and measured on other scenes of the domain, and on the probe set that comes with
nano, whose unseen classes the labels never name: what it loses there is forgotten.

Every cell of the table (recipe, N, seed) is a training of its own. Finished ones are kept, so the
command can be stopped and given again. `--table` prints those that are done.
"""

import argparse
import json
import logging
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from frozenseg_label import train
from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.header import read_checkpoint_info
from frozenseg_label.checkpoints.named_weights import find_weights, frozen_folder
from frozenseg_label.training.loop.learners import build_names
from frozenseg_label.training.loop.quality import MeasuredSet, score
from frozenseg_label.training.loop.report import ClassGroups
from recipes.nano.studying.new_domain import domain, draw_domain, mark_edited, split_domain, subset

STEPS = {10: 80, 30: 120}  # of so few images; the recipes' own for more
RECIPES = ("fine_tune", "fine_tune_cached", "head_only")
STOPPED = 130  # exit status, that of Ctrl-C in a shell
log = logging.getLogger("corrections")


@dataclass(frozen=True)
class Cell:
    """One training of the table.

    Attributes:
        images: how many corrected ones.
        settings: changes of the recipe, `key=value` each.
        edited: mark the segments that the embedded model had wrong.
    """

    recipe: str
    images: int
    seed: int
    settings: tuple[str, ...] = ()
    edited: bool = False

    @property
    def variant(self) -> str:
        """Return the recipe with all that differs from it."""
        return ", ".join([self.recipe, *self.settings, *(["edited marked"] if self.edited else [])])

    def folder(self, work: Path) -> Path:
        """Return where the cell is kept."""
        name = f"{self.variant}-{self.images:03d}-{self.seed}"
        return work / "cells" / name.replace("/", "_")


def run_cell(work: Path, cell: Cell) -> None:
    """Train and write down what came out; do nothing where that is done."""
    folder = cell.folder(work)
    if (folder / "result.json").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    pool, test = split_domain(work)
    chosen = np.random.default_rng(cell.seed).permutation(len(pool))[: cell.images]
    labels = subset(work, folder / "labels", [pool[i] for i in chosen])
    if cell.edited:
        mark_edited(work, labels / "panoptic.json")
    summary = train(
        labels,
        folder / "training",
        recipe=cell.recipe,
        settings=[f"seed={cell.seed}", *cell.settings],
        max_steps=STEPS.get(cell.images) if cell.recipe != "head_only" else None,
        images=work / "scenes" / "images",
        cache_folder=work / "features" / cell.recipe,
    )
    if summary.stopped:
        raise SystemExit(STOPPED)
    result = {
        "recipe": cell.variant,
        "images": cell.images,
        "seed": cell.seed,
        "seconds": round(summary.seconds, 1),
        "best_step": summary.best_step,
        "forgetting": summary.forgetting,
        "test": measure(work, summary.checkpoint or "nano", test),
    }
    (folder / "result.json").write_text(json.dumps(result) + "\n")
    shutil.rmtree(folder / "training" / f"state-{summary.steps:08d}")
    log.info("%s", result)


def measure(work: Path, weights: str | Path, names: Sequence[str]) -> dict[str, float]:
    """Return PQ in points on some scenes, means over the classes that occur in their truth."""
    data = domain(work)
    images = [image for image in data.train if image.name in names]
    model, info = load_checkpoint(find_weights(weights), frozen_folder())
    before = read_checkpoint_info(find_weights("nano")).seen_names
    classifier = build_names(model, info, data.vocabulary, info.seen_names)
    groups = ClassGroups.of(images, data.vocabulary, before, data.named_classes())
    tally = score(model, classifier, MeasuredSet(images, data.vocabulary), bf16=False)
    return groups.quality(tally)


def print_table(work: Path) -> None:
    """Print the cells that are done: mean and standard deviation over the seeds."""
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
                    cell = Cell(recipe, count, seed, tuple(given.settings), given.edited)
                    run_cell(given.work, cell)
    print_table(given.work)


if __name__ == "__main__":
    main()
