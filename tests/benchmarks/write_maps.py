"""Time how label maps of photographs get into a run folder, by the number of encoders.

    python tests/benchmarks/write_maps.py FOLDER

Maps of 12 MP that are made already, as if a model on a GPU gave one after the other; ways take
turns. Prints a Markdown table of medians: elapsed and processor's seconds for each map.
"""

import argparse
import os
import shutil
import statistics
import time
from functools import partial
from pathlib import Path

from frozenseg_label.annotation.write_behind import WriteBehind, most_waiting
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.staging import StagedLabels, WriteOrder
from tests.benchmarks.label_png import wavy_ellipses
from tests.benchmarks.made_run import made_words, manifest_of


def main() -> None:
    """Write the same map many times, with each number of encoders in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--encoders", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    panoptic = a_map()
    seconds: dict[int, list[tuple[float, float]]] = {count: [] for count in options.encoders}
    for _ in range(options.turns):
        for count, turns in seconds.items():
            turns.append(written(options.folder / f"{count}", panoptic, options.images, count))
    print("| encoders | elapsed, s | processor, s | maps a second |\n|---|---|---|---|")  # noqa: T201
    for count, turns in seconds.items():
        elapsed, worked = (statistics.median(times) for times in zip(*turns, strict=True))
        print(f"| {count} | {elapsed:.2f} | {worked:.2f} | {1 / elapsed:.1f} |")  # noqa: T201


def a_map() -> PanopticMap:
    """Return a map of 3000 x 4000 with 39 segments."""
    ids = wavy_ellipses(3000, 4000)
    segments = (
        Segment(id_, 1 + id_ % 20, id_ % 2 > 0, area, bbox, 0.5)
        for id_, (area, bbox) in measure(ids).items()
    )
    return PanopticMap(ids, tuple(segments))


def written(folder: Path, panoptic: PanopticMap, images: int, encoders: int) -> tuple[float, float]:
    """Return elapsed and processor's seconds for each map."""
    os.cpu_count = lambda: encoders
    records = [ImageRecord(Path(f"{at}.jpg"), f"{at}.jpg", 0, 0) for at in range(images)]
    with RunFolder.open_or_create(folder, manifest_of(made_words(20))) as run:
        start, worked = time.perf_counter(), time.process_time()
        with WriteBehind(run, lambda *_: None) as writes:
            for record in records:
                writes.write(record, partial(staged, panoptic=panoptic, run=run))
                writes.finish(most_waiting(1))
            writes.finish(0)
        took = time.perf_counter() - start, time.process_time() - worked
    shutil.rmtree(folder)
    return took[0] / images, took[1] / images


def staged(order: WriteOrder, panoptic: PanopticMap, run: RunFolder) -> StagedLabels:
    """Stage the map."""
    return run.stage(order, panoptic)


if __name__ == "__main__":
    main()
