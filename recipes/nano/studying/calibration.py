"""What need not be looked at: the precision that `calibrate --accept` promises, and reaches.

    python -m recipes.nano.studying.calibration --work WORK

For each seed, scenes of the demonstration are drawn and labelled by nano. Of a random half, the
truth stands for a reviewer's work; `calibrate --accept` then accepts segments of the other half,
and the truth says how many of these are right. One half is one draw of luck, so the same is done
with many random halves of the scenes in memory: how often is the promise broken?

What is done is kept, so the command can be stopped and given again.
"""

import argparse
import json
import logging
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from frozenseg_label import annotate, calibrate, undo_calibrate, write_demo
from frozenseg_label.demo.write_demo import STYLES, Style
from frozenseg_label.evaluation.calibration import (
    Judged,
    JudgedSegments,
    cross_fitted,
    fit,
    own_classes,
    signals_of,
)
from frozenseg_label.evaluation.precision_bound import search_threshold
from frozenseg_label.evaluation.segment_overlap import (
    SegmentOverlap,
    one_segment_per_stuff,
    overlap_of,
)
from frozenseg_label.label_sets.label_set import LabelSet
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.run_reader import RunReader

FIRST_SEED = 40_000  # of the scenes; the seeds of a study are far apart
TARGETS = (0.9, 0.95, 0.98)
Row = dict[str, float | None]
log = logging.getLogger("calibration")


class Outcome(NamedTuple):
    """What was accepted of the scenes that nobody had reviewed.

    Attributes:
        segments: proposed ones.
        accepted: of these.
        right: of the accepted ones.
    """

    segments: int
    accepted: int
    right: int


def label_scenes(folder: Path, seed: int, scenes: int, style: Style) -> None:
    """Draw scenes with their truth and label them, as far as that is not done."""
    if not (folder / "truth" / "panoptic.json").is_file():
        first = FIRST_SEED + 1000 * seed
        write_demo(folder / "pictures", scenes, first, folder / "truth", style=style)
    annotate(folder / "pictures", folder / "labels", "stickers")


def run_half(folder: Path, seed: int) -> list[Row]:
    """Review a random half and accept in the other; return a row for each target."""
    run = folder / "half"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(folder / "labels", run)
    with open_label_set(folder / "truth") as truth:
        names = np.random.default_rng(seed).permutation(truth.images).tolist()
        review(run, truth, names[::2])
        rows: list[Row] = []
        for target in TARGETS:
            report = calibrate(run, accept=target)
            outcome = accepted_of(run, truth, names[1::2])
            done = report.acceptance
            rows.append(
                {
                    "target": target,
                    "reviewed": report.segments,
                    "error before": report.error_before,
                    "error after": report.error_after,
                    "bound": done.threshold.bound if done and done.threshold else 0.0,
                    "missing": done.missing if done else 0,
                    **_figures(outcome),
                    "images settled": done.settled / done.images if done else 0.0,
                }
            )
            undo_calibrate(run)
    return rows


def review(run: Path, truth: LabelSet, names: Sequence[str]) -> None:
    """Correct images as somebody would who knows the truth."""
    with RunFolder.open_to_correct(run) as opened:
        for name in names:
            entry, true = opened.entry(name), truth.read_map(name)
            if entry is None:
                raise ValueError(f"{run} has no {name}")
            mine = tuple(segment.owned_by("human") for segment in true.segments)
            opened.correct(opened.record(entry), replace(true, segments=mine), state="reviewed")
        opened.finish()


def accepted_of(run: Path, truth: LabelSet, names: Sequence[str]) -> Outcome:
    """Count what a machine accepted in some images, and how much of it is right."""
    segments = accepted = right = 0
    with RunReader.read(run) as opened:
        for name in names:
            overlap = against_truth(opened.read_map(name), truth.read_map(name))
            paired = {pair.predicted for pair in overlap.pairs}
            sure = [p for p, s in enumerate(overlap.predicted) if s.accepted_by is not None]
            segments, accepted = segments + len(overlap.predicted), accepted + len(sure)
            right += sum(place in paired for place in sure)
    return Outcome(segments, accepted, right)


def against_truth(labels: PanopticMap, truth: PanopticMap) -> SegmentOverlap:
    """Return how labels overlap with the truth of a scene."""
    pair = one_segment_per_stuff(labels), one_segment_per_stuff(truth)
    return overlap_of(*pair, void_is_truth=True)


def judged_by_truth(folder: Path) -> JudgedSegments:
    """Return all proposed segments of all scenes, judged by the truth."""
    rows: list[Judged] = []
    with open_label_set(folder / "truth") as truth, RunReader.read(folder / "labels") as run:
        for number, name in enumerate(truth.images):
            rows += judged_rows(number, run.read_map(name), truth.read_map(name))
    return JudgedSegments.of(rows)


def judged_rows(number: int, labels: PanopticMap, truth: PanopticMap) -> Iterator[Judged]:
    """Yield the proposed segments of a scene, judged by the truth or by what a person left."""
    overlap = against_truth(labels, truth)
    paired, pixels = {pair.predicted for pair in overlap.pairs}, int(overlap.pixels.sum())
    for place, segment in enumerate(overlap.predicted):
        signals = signals_of(segment, pixels)
        score = segment.score or 0.0
        yield Judged(number, segment.category_id, score, signals, place in paired)


def split_often(judged: JudgedSegments, splits: int, seed: int) -> dict[float, list[Outcome]]:
    """Return what is accepted of one half of the scenes by the other, for many random halves."""
    random = np.random.default_rng(seed)
    found: dict[float, list[Outcome]] = {target: [] for target in TARGETS}
    images = np.unique(judged.images)
    for _ in range(splits):
        half = random.permutation(images)[: len(images) // 2]
        inside = np.isin(judged.images, half)
        seen, others = judged.of_places(inside), judged.of_places(~inside)
        own = own_classes(seen)
        held_out, fitted = cross_fitted(seen, own), fit(seen, own)
        said = fitted.probabilities(others.signals, others.categories.tolist())
        for target in TARGETS:
            passed = search_threshold(held_out, seen.right, target).passed
            sure = said >= (2.0 if passed is None else passed.probability)
            outcome = Outcome(len(others), int(sure.sum()), int(others.right[sure].sum()))
            found[target].append(outcome)
    return found


def _figures(outcome: Outcome) -> Row:
    return {
        "segments": outcome.segments,
        "accepted": outcome.accepted,
        "share": outcome.accepted / outcome.segments,
        "precision": outcome.right / outcome.accepted if outcome.accepted else None,
    }


def _splits_row(target: float, outcomes: Sequence[Outcome]) -> Row:
    some = [one for one in outcomes if one.accepted]
    return {
        "target": target,
        "passed": len(some) / len(outcomes),
        "share": statistics.mean(one.accepted / one.segments for one in outcomes),
        "precision": statistics.mean(o.right / o.accepted for o in some) if some else None,
        "broken": sum(one.right < target * one.accepted for one in some) / len(outcomes),
    }


def print_table(results: Sequence[Mapping[str, list[Row]]]) -> None:
    """Print both tables: mean and standard deviation over the seeds, in per cent.

    Precisions are of the seeds in which something was accepted.
    """
    for kind in ("half", "splits"):
        keys = [key for key in results[0][kind][0] if key != "target"]
        print(f"| {kind}: target | {' | '.join(keys)} |")  # noqa: T201
        print(f"|---|{'---|' * len(keys)}")  # noqa: T201
        for place, target in enumerate(TARGETS):
            cells = [_spread([result[kind][place][key] for result in results]) for key in keys]
            print(f"| {100 * target:g} | {' | '.join(cells)} |")  # noqa: T201


def _spread(known: Sequence[float | None]) -> str:
    values = [value for value in known if value is not None]
    if not values:
        return "-"
    scale = 100 if max(values) <= 1 else 1
    spread = f" ± {scale * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{scale * statistics.mean(values):.1f}{spread}"


def main() -> None:
    """Read the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--style", choices=STYLES, default="trained")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    results = []
    for seed in given.seeds:
        folder = given.work / f"{given.style}-{seed}"
        if (folder / "result.json").is_file():
            results.append(json.loads((folder / "result.json").read_text()))
            continue
        label_scenes(folder, seed, given.scenes, given.style)
        judged = judged_by_truth(folder)
        outcomes = split_often(judged, given.splits, seed)
        results.append(
            {
                "half": run_half(folder, seed),
                "splits": [_splits_row(target, some) for target, some in outcomes.items()],
            }
        )
        (folder / "result.json").write_text(json.dumps(results[-1]) + "\n")
        log.info("%s", results[-1])
    print_table(results)


if __name__ == "__main__":
    main()
