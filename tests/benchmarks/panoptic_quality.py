"""How long panoptic quality takes: our own numpy count beside hotcoco's, on the same files.

    python tests/benchmarks/panoptic_quality.py

Random maps of COCO's size in a temporary folder, read as PNGs by both. Ours counts one image after
the other in one thread; hotcoco reads in as many threads as RAYON_NUM_THREADS allows.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from frozenseg_label.evaluation.panoptic_quality import HotcocoQuality, PanopticTally, differences
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.formats.coco_panoptic import read_panoptic_png, write_panoptic_png
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.vocabulary import Category, Vocabulary

IMAGES = 100
HEIGHT, WIDTH, TILE = 480, 640, 80  # pixels; 48 segments an image
CLASSES = 133
REPEATS = 3


def main() -> None:
    """Print a table."""
    vocabulary = Vocabulary("random", tuple(Category(f"class {i}", i) for i in range(CLASSES)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = _write(folder)
        maps = [tuple((read_panoptic_png(png), s) for png, s in pair) for pair in pairs]

        def ours() -> PanopticTally:
            tally = PanopticTally()
            for predicted, truth in pairs:
                tally.add(
                    *(PanopticMap(read_panoptic_png(png), s) for png, s in (predicted, truth))
                )
            return tally

        def without_reading() -> None:
            for predicted, truth in maps:
                overlap_of(PanopticMap(*predicted), PanopticMap(*truth))

        quality = HotcocoQuality(vocabulary, folder)
        for (png, segments), (true_png, true_segments) in pairs:
            shown = np.zeros((1, 1), dtype=np.int32)  # hotcoco reads the PNGs, not these
            quality.add(
                (PanopticMap(shown, segments), png), (PanopticMap(shown, true_segments), true_png)
            )
        assert not differences(ours().categories, quality.categories())
        rows = {
            "ours, numpy": _seconds(ours),
            "of it, without reading PNGs": _seconds(without_reading),
            "hotcoco": _seconds(quality.categories),
        }
    threads = os.environ.get("RAYON_NUM_THREADS", f"{os.cpu_count()}")
    lines = [f"{IMAGES} images of {WIDTH} x {HEIGHT}; hotcoco with {threads} threads", ""]
    lines += ["| count | seconds | images a second | of hotcoco's time |", "|---|---|---|---|"]
    for name, seconds in rows.items():
        ratio = seconds / rows["hotcoco"]
        lines.append(f"| {name} | {seconds:.2f} | {IMAGES / seconds:.0f} | {ratio:.1f} |")
    print("\n".join(lines), flush=True)  # noqa: T201


def _write(folder: Path) -> list[tuple[tuple[Path, tuple[Segment, ...]], ...]]:
    """Write random pairs of maps; returns the PNGs and segments of each."""
    rng, pairs = np.random.default_rng(0), []
    for number in range(IMAGES):
        true = rng.permutation(HEIGHT // TILE * WIDTH // TILE).reshape(HEIGHT // TILE, -1) + 1
        ids = np.kron(true, np.ones((TILE, TILE))).astype(np.int32)
        moved = np.roll(ids, rng.integers(0, TILE // 4, 2), axis=(0, 1))
        classes = rng.integers(0, CLASSES, ids.max() + 1)
        pair = []
        for side, labels in (("predicted", moved), ("truth", ids)):
            png = folder / f"{side}-png" / f"{number}.png"
            write_panoptic_png(png, labels)
            segments = tuple(
                Segment(id_, int(classes[id_]), True, area, bbox)
                for id_, (area, bbox) in measure(labels).items()
            )
            pair.append((png, segments))
        pairs.append(tuple(pair))
    return pairs


def _seconds(count: Callable[[], object]) -> float:
    """Return the shortest of some runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        count()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
