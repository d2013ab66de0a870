"""Images of a few pixels on their way to another tool."""

import numpy as np

from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.panoptic import ImageState, PanopticMap, Segment, measure
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary(
    "animals",
    (
        Category("cat", 1, color=(255, 0, 0)),
        Category("dogs & 'co'", 4, color=(0, 255, 0)),
        Category("sky", 2, is_thing=False),
    ),
)
CAT, DOG, SKY = 1, 4, 2
# A cat with a hole, a dog in two parts, and sky.
ROWS = [
    [1, 1, 1, 300, 7],
    [1, 0, 1, 300, 300],
    [1, 1, 1, 300, 7],
]
CLASSES = {1: CAT, 7: DOG, 300: SKY}


def small_image(
    name: str = "a/1.jpg",
    *,
    part: str = "",
    rows: list[list[int]] = ROWS,
    state: ImageState = "unseen",
    source: str = "model:abc",
    picture: str | None = None,
) -> ExportImage:
    ids = np.array(rows, dtype=np.int32)
    segments = [
        Segment(id_, CLASSES[id_], CLASSES[id_] != SKY, score=0.5, source=source)
        for id_ in measure(ids)
    ]
    stem, dot, suffix = name.rpartition(".")
    place = Place(name, stem, dot + suffix, part)
    return ExportImage(place, 1, PanopticMap.of(ids, segments), state, picture)
