"""Time how a run comes into FiftyOne, beside FiftyOne's own insertion of the same segments.

    python tests/benchmarks/review_loading.py FOLDER --images 1000

FIFTYONE_DATABASE_URI names the server. FiftyOne's own insertion is what its user would do with the
same segments in memory: make the detections, then `add_samples`. Ours reads the PNGs, too, and
makes queue, schema and views. The two take turns. Prints the seconds of each turn (and those that
this process worked, without the server), the ratio of the sums, and how long opening again takes.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from made_run import make_run
from numpy.typing import NDArray

from frozenseg_label.runs.run_folder import RunFolder

Seconds = NDArray[np.float64]  # [2], of the clock and of this process


def main() -> None:
    """Make the run, load it both ways, print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=2)
    given = parser.parse_args()
    os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    make_run(given.folder, given.images, cell=120)
    theirs, ours, again = [], [], []
    for _ in range(given.turns):
        theirs.append(insert(given.folder, given.images))
        first, second = load(given.folder)
        ours.append(first)
        again.append(second)
    for name, turns in (("FiftyOne", theirs), ("ours", ours), ("ours, again", again)):
        print(name, *(f"{wall:.1f} s ({own:.1f} s)" for wall, own in turns))  # noqa: T201
    wall, own = np.sum(ours, axis=0) / np.sum(theirs, axis=0)
    print(f"ratio {wall:.2f} ({own:.2f})")  # noqa: T201


def clock() -> Seconds:
    """The time, and how long this process has worked."""
    return np.array([time.perf_counter(), time.process_time()])


def insert(folder: Path, images: int) -> Seconds:
    """FiftyOne's own insertion."""
    import fiftyone as fo

    dataset = fo.Dataset("review-benchmark", overwrite=True)
    with RunFolder.read(folder / "out") as run:
        maps = [run.read_map(f"{number:06d}.jpg") for number in range(10)]
    start = clock()
    samples = []
    for number in range(images):
        panoptic, detections = maps[number % 10], []
        for segment in panoptic.segments:
            x, y, width, height = segment.bbox
            detection = fo.Detection(
                label=run.vocabulary.by_id(segment.category_id).name,
                bounding_box=[x / 600, y / 480, width / 600, height / 480],
                mask=panoptic.ids[y : y + height, x : x + width] == segment.id,
                confidence=segment.score,
                segment_id=segment.id,
                state=segment.state,
                source=segment.source,
                area=segment.area,
                margin=segment.margin,
                second="class 1",
            )
            detections.append(detection)
        samples.append(
            fo.Sample(
                filepath=f"{folder}/photos/{number:06d}.jpg",
                metadata=fo.ImageMetadata(width=600, height=480),
                segments=fo.Detections(detections=detections),
            )
        )
    dataset.add_samples(samples, dynamic=True, progress=False)
    seconds = clock() - start
    dataset.delete()
    return seconds


def load(folder: Path) -> tuple[Seconds, Seconds]:
    """Our loading: the queue, the PNGs, the insertion, schema and views; and again."""
    from frozenseg_label.review.app.fiftyone_dataset import open_dataset

    seconds = []
    for _ in range(2):
        start = clock()
        with RunFolder.read(folder / "out") as run:
            dataset = open_dataset(run).dataset
        seconds.append(clock() - start)
    dataset.delete()
    return seconds[0], seconds[1]


if __name__ == "__main__":
    main()
