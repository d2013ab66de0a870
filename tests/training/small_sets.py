"""Labelled pictures of a few pixels: as COCO panoptic sets, as run folders, and in memory."""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import ImageState, PanopticMap, Segment, State
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

CAT, DOG, SKY = 1, 2, 3
ANIMALS = Vocabulary(
    "animals",
    (Category("cat", CAT, ("kitten",)), Category("dog", DOG), Category("sky", SKY, (), False)),
)
ROWS = [[1, 1, 2, 2], [3, 3, 3, 0]]  # of segment ids
CLASSES = {1: CAT, 2: DOG, 3: SKY}  # of the segments

Rows = list[list[int]]


def draw_square(seed: int, side: int = 64) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Draw a bright square (id 1) on a dark ground (id 2): picture [side, side, 3] and ids."""
    top, left = np.random.default_rng(seed).integers(4, side - 34, 2)
    ids = np.full((side, side), 2, np.int32)
    ids[top : top + 28, left : left + 28] = 1
    return np.where(ids[..., None] == 1, 220, 40).astype(np.uint8).repeat(3, axis=2), ids


def write_picture(path: Path, size: tuple[int, int]) -> None:
    """Write a picture whose content depends on its name; size is height and width."""
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def map_of(
    rows: Rows | NDArray[np.int32],
    classes: Mapping[int, int] = CLASSES,
    states: Mapping[int, State] | State = "accepted",
    vocabulary: Vocabulary = ANIMALS,
) -> PanopticMap:
    """Return a map from rows of segment ids, and the category and state of each id."""
    ids = np.array(rows, dtype=np.int32)
    segments = [
        Segment(
            id_,
            category,
            vocabulary.by_id(category).is_thing,
            state=states if isinstance(states, str) else states.get(id_, "accepted"),
        )
        for id_, category in classes.items()
    ]
    return PanopticMap.of(ids, segments)


def write_set(
    folder: Path,
    maps: Mapping[str, PanopticMap],
    state: ImageState = "reviewed",
    vocabulary: Vocabulary = ANIMALS,
) -> Path:
    """Write a COCO panoptic set with its pictures; maps by the names of the pictures."""
    annotations = []
    for number, (name, labels) in enumerate(maps.items(), start=1):
        height, width = labels.ids.shape
        write_picture(folder / "images" / name, (height, width))
        write_panoptic_png(folder / "panoptic" / png_name(name), labels.ids)
        annotations.append(
            PanopticAnnotation(number, name, png_name(name), width, height, labels.segments, state)
        )
    write_coco_panoptic(folder / "panoptic.json", vocabulary, annotations)
    return folder


def write_run(
    folder: Path,
    maps: Mapping[str, PanopticMap],
    state: ImageState = "reviewed",
    vocabulary: Vocabulary = ANIMALS,
) -> Path:
    """Write a run folder with pictures beside it, whose labels a person corrected to these maps."""
    manifest = Manifest.of(
        tool_version="0.1",
        arguments={},
        weights="nano",
        weights_fingerprint="of nano",
        vocabulary=vocabulary,
        seen_names=[],
        options={},
    )
    with RunFolder.open_or_create(folder, manifest) as run:
        records = {name: _record(folder.parent / "photos", name, maps[name]) for name in maps}
        run.plan(list(records.values()))
        for name, labels in maps.items():
            proposed = tuple(
                replace(s, state="proposed", source="model:x") for s in labels.segments
            )
            run.commit(records[name], PanopticMap(labels.ids, proposed))
            run.correct(records[name], labels, state=state)
        run.finish()
    return folder


def _record(root: Path, name: str, labels: PanopticMap) -> ImageRecord:
    path = root / name
    write_picture(path, (labels.ids.shape[0], labels.ids.shape[1]))
    status = path.stat()
    return ImageRecord(path, name, status.st_size, status.st_mtime_ns)
