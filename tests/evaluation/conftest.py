"""Maps of a few pixels, and sets of labels on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.vocabulary import Category, Vocabulary

GOLDEN = Path(__file__).parent / "golden"
VOCABULARY = Vocabulary(
    "animals",
    (Category("cat", 1), Category("dog", 2), Category("sky", 3, is_thing=False)),
)


def panoptic_map(
    rows: list[list[int]],
    categories: Mapping[int, int],
    crowds: tuple[int, ...] = (),
    scores: Mapping[int, float] | None = None,
) -> PanopticMap:
    """A map from rows of segment ids, and the category id of each."""
    ids = np.array(rows, dtype=np.int32)
    segments = tuple(
        Segment(
            id_,
            categories[id_],
            categories[id_] != 3,
            area,
            bbox,
            score=(scores or {}).get(id_),
            is_crowd=id_ in crowds,
        )
        for id_, (area, bbox) in measure(ids).items()
    )
    return PanopticMap(ids, segments)


def write_set(
    folder: Path, maps: Mapping[str, PanopticMap], vocabulary: Vocabulary = VOCABULARY
) -> Path:
    """Write a COCO panoptic folder of images by name."""
    annotations = []
    for number, (name, made) in enumerate(maps.items(), start=1):
        write_panoptic_png(folder / "panoptic" / png_name(name), made.ids)
        height, width = made.ids.shape
        annotations.append(
            PanopticAnnotation(number, name, png_name(name), width, height, made.segments)
        )
    write_coco_panoptic(folder / "panoptic.json", vocabulary, annotations)
    return folder


@pytest.fixture
def golden() -> Path:
    """Sets whose figures panopticapi and detectron2 have told (`expected.json`)."""
    return GOLDEN


@pytest.fixture
def vocabulary() -> Vocabulary:
    return VOCABULARY


@pytest.fixture
def make_map() -> Callable[..., PanopticMap]:
    return panoptic_map


@pytest.fixture
def make_set() -> Callable[..., Path]:
    return write_set
