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
from numpy.typing import NDArray

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

Seconds = NDArray[np.float64]  # [2], of the clock and of this process

VOCABULARY = Vocabulary("twenty", tuple(Category(f"class {i}", i) for i in range(1, 21)))


def main() -> None:
    """Make the run, load it both ways, print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=2)
    given = parser.parse_args()
    os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    make_run(given.folder, given.images)
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


def labels(seed: int) -> PanopticMap:
    """Twenty rough blobs in a picture of 640 x 480."""
    rng = np.random.default_rng(seed)
    cells = np.kron(np.arange(1, 21).reshape(4, 5), np.ones((120, 128), np.int32)).astype(np.int32)
    ids = np.where(rng.random((60, 80)).repeat(8, 0).repeat(8, 1) < 0.8, cells, 0)
    segments = tuple(
        Segment(id_, id_, True, area, bbox, 0.5, 0.2, 1 + id_ % 20, 0.3, "model:abc")
        for id_, (area, bbox) in measure(ids).items()
    )
    return PanopticMap(ids.astype(np.int32), segments)


def make_run(folder: Path, images: int) -> None:
    """Write a run folder, and files in place of photographs."""
    (folder / "photos").mkdir(parents=True)
    manifest = Manifest.of(
        tool_version="0",
        arguments={},
        weights="none",
        weights_fingerprint="none",
        vocabulary=VOCABULARY,
        seen_names=[],
        options={},
    )
    with RunFolder.open_or_create(folder / "out", manifest) as run:
        paths = [folder / "photos" / f"{number:05d}.jpg" for number in range(images)]
        for path in paths:
            path.touch()
        records = [ImageRecord(path, path.name, 0, path.stat().st_mtime_ns) for path in paths]
        run.plan(records)
        for number, record in enumerate(records):
            run.commit(record, labels(number % 10))
        run.finish()


def insert(folder: Path, images: int) -> Seconds:
    """FiftyOne's own insertion."""
    import fiftyone as fo

    dataset = fo.Dataset("review-benchmark", overwrite=True)
    with RunFolder.read(folder / "out") as run:
        maps = [run.read_map(f"{number:05d}.jpg") for number in range(10)]
    start = clock()
    samples = []
    for number in range(images):
        panoptic, detections = maps[number % 10], []
        for segment in panoptic.segments:
            x, y, width, height = segment.bbox
            detection = fo.Detection(
                label=VOCABULARY.by_id(segment.category_id).name,
                bounding_box=[x / 640, y / 480, width / 640, height / 480],
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
                filepath=f"{folder}/photos/{number:05d}.jpg",
                metadata=fo.ImageMetadata(width=640, height=480),
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
