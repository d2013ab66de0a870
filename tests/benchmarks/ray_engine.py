"""What a cluster of Ray costs: images a second of one and two workers, and the program's own work.

    python tests/benchmarks/ray_engine.py FOLDER

FOLDER gets pictures and run folders. Ray starts on this machine, for each measurement anew.
"""

import argparse
import resource
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from made_run import manifest_of

from frozenseg_label import annotate, write_demo
from frozenseg_label.annotation.annotate_job import RayOptions
from frozenseg_label.annotation.ray_engine import label_on_ray
from frozenseg_label.images import find_images
from frozenseg_label.inference.predictor import Prediction, Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.preprocess import PreparedImage
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary

SEGMENTS = 20  # of each image whose labels are made up


class QuickPredictor(Predictor):
    """A predictor that gives every image the same rows of segments, without a network."""

    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Return made-up labels."""
        vector = np.full(self.names.embeddings.shape[1], 0.1, np.float16)
        return [
            Prediction(
                _made_up(*image.framing.original, self.vocabulary, self.source),
                vector,
                dict.fromkeys(range(1, SEGMENTS + 1), vector),
            )
            for image in images
        ]


class QuickSpec(PredictorSpec):
    """A spec of such a predictor."""

    def load(self, *, encoders: bool = True, names: TextClassifier | None = None) -> Predictor:
        """Load nano, whose network is never asked."""
        return QuickPredictor(**vars(super().load(encoders=encoders, names=names)))


def _made_up(height: int, width: int, vocabulary: Vocabulary, source: str) -> PanopticMap:
    """Return a map of stripes."""
    ids = np.arange(height * width, dtype=np.int32).reshape(height, width) % SEGMENTS + 1
    segments = []
    for number in range(1, SEGMENTS + 1):
        category = vocabulary.categories[number]
        segments.append(
            Segment(number, category.id, category.is_thing, score=0.123456789, source=source)
        )
    return PanopticMap.of(ids, segments)


def throughput(folder: Path, pictures: Path, **options: object) -> float:
    """Return images a second from the first image that is labelled to the last one."""
    shutil.rmtree(folder, ignore_errors=True)
    annotate(pictures, folder, "stickers", **options)
    with RunFolder.read(folder) as run:
        times = sorted(entry.time.timestamp() for entry in run.entries())
    return (len(times) - 1) / (times[-1] - times[0])


def own_work(folder: Path, pictures: Path, count: int) -> tuple[float, float, int]:
    """Label with made-up labels by two workers.

    Returns:
        CPU seconds of this process, seconds from the first row to the last, bytes of the journal.
    """
    shutil.rmtree(folder, ignore_errors=True)
    words = read_vocabulary("stickers")
    spec = QuickSpec("nano", words, device="cpu")
    manifest = manifest_of(words)
    records = find_images([pictures])[:count]
    seen: list[float] = []
    with RunFolder.open_or_create(folder, manifest) as run:
        run.plan(records)
        before = time.process_time()
        label_on_ray(
            records,
            spec,
            run,
            RayOptions(actors=2, gpus=0),
            batch_size=1,
            max_pixels=None,
            on_finished=lambda _: seen.append(time.perf_counter()),
        )
        spent = time.process_time() - before
    assert len(seen) == count
    return spent, seen[-1] - seen[0], (folder / "journal.jsonl").stat().st_size


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--turns", type=int, default=1, help="of the engines, one after the other")
    parser.add_argument("--images", type=int, nargs=2, default=(500, 2500))
    options = parser.parse_args()
    scenes, tiny = options.folder / "scenes", options.folder / "tiny"
    if options.scenes:
        write_demo(scenes, count=options.scenes)
        print("engine, images a second")  # noqa: T201
        engines = {f"ray {actors}": {"engine": "ray", "ray_actors": actors} for actors in (1, 2)}
        for _ in range(options.turns):
            for name, engine in {"local": {}, **engines}.items():
                found = throughput(options.folder / name, scenes, **engine)
                print(name, round(found, 2), flush=True)  # noqa: T201
    if not max(options.images):
        return
    first, *_ = write_demo(tiny / "0", count=1, size=64)
    for number in range(max(options.images)):
        path = tiny / f"{number % 100}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(first.read_bytes())
    print("images, own CPU seconds, seconds, journal bytes; peak MiB")  # noqa: T201
    for count in options.images:
        found = own_work(options.folder / "own", tiny, count)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(count, *(round(value, 2) for value in found), round(peak), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
