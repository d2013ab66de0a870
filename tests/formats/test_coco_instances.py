"""COCO instances: what pycocotools and hotcoco read is what was labelled."""

import json
from collections.abc import Iterable
from pathlib import Path

import hotcoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pycocotools.coco import COCO

from frozenseg_label.formats.coco_instances import write_coco_instances
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary("two", (Category("cat", 3), Category("sky", 7, is_thing=False)))
IDS = arrays.arrays(
    np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 3)
)


def image(ids: NDArray[np.int32], number: int = 1, score: float | None = None) -> ExportImage:
    segments = [Segment(id_, 3, is_thing=True, score=score) for id_ in measure(ids)]
    place = Place(f"{number}.jpg", f"{number}", ".jpg")
    return ExportImage(place, number, PanopticMap.of(ids, segments), "unseen")


@settings(max_examples=50, deadline=None)
@given(IDS)
def test_pycocotools_reads_the_same_masks(
    tmp_path_factory: pytest.TempPathFactory, ids: NDArray[np.int32]
) -> None:
    path = tmp_path_factory.mktemp("coco") / "instances.json"
    write_coco_instances(path, VOCABULARY, [image(ids)])
    read = COCO(str(path))
    masks = [read.annToMask(row).astype(bool) for row in read.loadAnns(read.getAnnIds())]
    expected = [ids == id_ for id_ in measure(ids)]
    assert len(masks) == len(expected)
    assert all(map(np.array_equal, masks, expected))


def test_a_hole_and_a_score_are_kept_and_hotcoco_reads_them(tmp_path: Path) -> None:
    ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=np.int32)
    write_coco_instances(tmp_path / "i.json", VOCABULARY, [image(ring, score=0.25)])
    (row,) = json.loads((tmp_path / "i.json").read_text())["annotations"]
    assert (row["score"], row["area"], row["bbox"], row["iscrowd"]) == (0.25, 8, [0, 0, 3, 3], 0)
    read = hotcoco.COCO(str(tmp_path / "i.json"))
    assert np.array_equal(read.annToMask(read.loadAnns(read.getAnnIds())[0]), ring)


def test_images_are_taken_one_at_a_time(tmp_path: Path) -> None:
    path, alive = tmp_path / "i.json", []

    def images() -> Iterable[ExportImage]:
        for number in (1, 2, 3):
            made = image(np.ones((2, 2), dtype=np.int32), number)
            alive.append(number)
            assert not path.exists()  # it appears whole
            yield made

    write_coco_instances(path, VOCABULARY, images())
    document = json.loads(path.read_text())
    assert [row["id"] for row in document["images"]] == alive == [1, 2, 3]
    assert [row["id"] for row in document["annotations"]] == [1, 2, 3]
    assert [row["isthing"] for row in document["categories"]] == [1, 0]


def test_a_score_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_coco_instances(
            tmp_path / "i.json",
            VOCABULARY,
            [image(np.ones((2, 2), dtype=np.int32), score=float("nan"))],
        )
    assert not list(tmp_path.iterdir())
