"""How far labels in bfloat16 are from those in float32: `nano` on demonstration scenes.

    python tests/benchmarks/precision.py --scenes 40

PQ of both against the truth, of the classes that occur there, and which share of a scene's pixels
has the same class in both. Where a CPU has no instructions for bfloat16 it is emulated: slow, and
right. Prints Markdown; `README.md` beside this file keeps the results.
"""

import argparse

import numpy as np
import torch
from mosaics import SCENE, demonstration

import frozenseg_label
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.formats.class_png import class_indices
from frozenseg_label.model.precision import measure_layer


def main() -> None:
    """Label the scenes in both and print what comes out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    exact = frozenseg_label.load_predictor("stickers", precision="fp32")
    rough = frozenseg_label.load_predictor("stickers", precision="bf16")
    tallies, equal = (PanopticTally(), PanopticTally()), []
    named = set[int]()
    for picture, truth in demonstration(options.scenes, SCENE):
        labels = [predictor.label(picture) for predictor in (exact, rough)]
        for tally, found in zip(tallies, labels, strict=True):
            tally.add(found, truth)
        one, other = (class_indices(found, exact.vocabulary) for found in labels)
        equal.append((one == other).mean())
        named |= {segment.category_id for segment in truth.segments}
    qualities = [100 * tally.mean(named).pq for tally in tallies]
    shares = [100 * float(share) for share in (np.mean(equal), np.min(equal))]
    lines = ["| | fp32 | bf16 |", "|---|---|---|"]
    lines.append("| PQ, points | {:.2f} | {:.2f} |".format(*qualities))
    lines.append(f"| pixels of fp32's class, mean, % | | {shares[0]:.3f} |")
    lines.append(f"| pixels of fp32's class, worst scene, % | | {shares[1]:.3f} |")
    print("\n".join(lines), f"\n{measure_layer()}", sep="\n", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
