"""A drawn scene of eight segments, as a run folder of one image or more."""

from pathlib import Path

import numpy as np
from PIL import Image

from frozenseg_label.images import find_images
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

CAT, DOG, BIRD, SKY, GRASS, BOBCAT = 1, 2, 3, 4, 5, 6
VOCABULARY = Vocabulary(
    "animals",
    (
        Category("bobcat", BOBCAT),  # before the one whose name is in its name
        Category("cat", CAT, ("kitten",)),
        Category("dog", DOG),
        Category("bird", BIRD),
        Category("sky", SKY, is_thing=False),
        Category("grass", GRASS, is_thing=False),
    ),
)
# Of 640 x 480; other sizes show the same.
DISCS = {3: (150, 150, 60), 4: (330, 300, 60), 5: (500, 150, 60), 6: (130, 350, 40)}
DISCS |= {7: (480, 340, 35), 8: (570, 340, 35)}
CLASSES = {1: SKY, 2: GRASS, 3: CAT, 4: DOG, 5: BIRD, 6: DOG, 7: CAT, 8: CAT}
SIZES = [(640, 480), (2560, 1920)]

Point = tuple[float, float]


def scene(size: tuple[int, int]) -> PanopticMap:
    """Return wobbly things on sky and grass, a thin line, and a corner of void."""
    k = size[0] / 640
    y, x = np.mgrid[: size[1], : size[0]] / k
    ids = np.where(y < 220 + 20 * np.sin(x / 37), 1, 2).astype(np.int32)
    for id_, (across, down, radius) in DISCS.items():
        angle = np.arctan2(y - down, x - across)
        ids[np.hypot(x - across, y - down) < radius * (1 + 0.15 * np.sin(5 * angle))] = id_
    ids[(x > 60) & (x < 240) & (y > 419) & (y < 422)] = 3
    ids[(x > 590) & (y > 420)] = 0
    segments = (
        Segment(
            id_,
            class_,
            is_thing=class_ < SKY,
            score=0.5,
            margin=0.2,
            second=CAT if class_ == DOG else DOG,
            source="model:abc",
        )
        for id_, class_ in CLASSES.items()
    )
    return PanopticMap.of(ids, segments)


def make_run(folder: Path, size: tuple[int, int], images: int = 1) -> Path:
    """Make a run of equal images of this size; its name is that of the folder."""
    labels = scene(size)
    (folder / "photos").mkdir()
    colors = np.random.default_rng(0).integers(60, 200, (9, 3), dtype=np.uint8)
    for name in "abcdef"[:images]:
        Image.fromarray(colors[labels.ids]).save(folder / "photos" / f"{name}.png")
    manifest = Manifest.of(
        tool_version="0.1",
        arguments={},
        weights="nano",
        weights_fingerprint="nano",
        vocabulary=VOCABULARY,
        seen_names=["cat"],
        options={},
    )
    with RunFolder.open_or_create(folder / folder.name, manifest) as run:
        records = find_images([folder / "photos"])
        run.plan(records)
        for record in records:
            run.commit(record, labels)
        run.finish()
    return folder / folder.name


def distance_to(size: tuple[int, int], start: Point, end: Point) -> np.ndarray:
    """Return each pixel's distance to a line of the scene, in pixels of the scene."""
    k = size[0] / 640
    y, x = (np.mgrid[: size[1], : size[0]] + 0.5) / k
    across, down = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * across + (y - start[1]) * down) / (across**2 + down**2)
    along = along.clip(0, 1)
    return np.hypot(x - start[0] - along * across, y - start[1] - along * down)
