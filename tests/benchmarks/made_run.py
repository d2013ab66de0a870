"""A run folder of made-up labels, for benchmarks of what grows with the number of images."""

from pathlib import Path

import numpy as np

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

ROWS, COLUMNS = 4, 5  # of blobs in a picture
DIFFERENT = 10  # pictures; the others repeat them


def make_run(folder: Path, images: int, *, cell: int, classes: int = 20) -> Path:
    """Write a run folder and empty files in place of photographs; return the run folder.

    Args:
        folder: gets `out` and `photos`.
        images: how many.
        cell: height and width of a blob, a multiple of 4 pixels; a picture has 4 x 5 of them.
        classes: of the vocabulary, at least 20.
    """
    (folder / "photos").mkdir(parents=True)
    manifest = manifest_of(made_words(classes))
    maps = [_rough_blobs(seed, cell, classes) for seed in range(DIFFERENT)]
    paths = [folder / "photos" / f"{number:06d}.jpg" for number in range(images)]
    with RunFolder.open_or_create(folder / "out", manifest) as run:
        for path in paths:
            path.touch()
        records = [ImageRecord(path, path.name, 0, path.stat().st_mtime_ns) for path in paths]
        run.plan(records)
        for number, record in enumerate(records):
            run.commit(record, maps[number % DIFFERENT])
        run.finish()
    return folder / "out"


def made_words(classes: int) -> Vocabulary:
    """Return a vocabulary of so many classes, every second one of things."""
    words = (Category(f"class {i}", i, is_thing=i % 2 > 0) for i in range(1, classes + 1))
    return Vocabulary("made up", tuple(words))


def manifest_of(words: Vocabulary) -> Manifest:
    """Return the manifest of a run that no weights made."""
    return Manifest.of(
        tool_version="0",
        arguments={},
        weights="none",
        weights_fingerprint="none",
        vocabulary=words,
        seen_names=[],
        options={},
    )


def _rough_blobs(seed: int, cell: int, classes: int) -> PanopticMap:
    """Return a map with a segment of another class in each cell, most of them in several parts."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(1, ROWS * COLUMNS + 1, dtype=np.int32).reshape(ROWS, COLUMNS)
    cells = np.kron(numbers, np.ones((cell, cell), np.int32))  # [H, W]
    size, grain = cells.shape, cell // 4
    kept = rng.random((size[0] // grain, size[1] // grain)) < 0.8
    ids = np.where(kept.repeat(grain, 0).repeat(grain, 1), cells, 0).astype(np.int32)
    chosen = rng.choice(classes, ROWS * COLUMNS, replace=False) + 1
    segments = []
    for id_, (area, bbox) in measure(ids).items():
        class_id = int(chosen[id_ - 1])
        second = 1 + class_id % classes
        segments.append(
            Segment(id_, class_id, class_id % 2 > 0, area, bbox, 0.5, 0.2, second, 0.3, "model:abc")
        )
    return PanopticMap(ids, tuple(segments))
