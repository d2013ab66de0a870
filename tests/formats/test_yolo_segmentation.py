"""YOLO's text files: a row a segment, read back pixel by pixel."""

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage

from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.yolo_segmentation import yolo_files, yolo_lists
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary("two", (Category("cat", 3), Category("dog", 7)))
IDS = arrays.arrays(
    np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 2)
)


def rows_of(ids: NDArray[np.int32], place: Place) -> list[list[str]]:
    segments = [Segment(id_, 7, is_thing=True) for id_ in measure(ids)]
    image = ExportImage(place, 1, PanopticMap.of(ids, segments), "unseen")
    ((path, data),) = yolo_files(image, VOCABULARY)
    assert path == f"labels/{place.path}.txt"
    return [line.split() for line in data.decode().splitlines()]


@pytest.mark.parametrize("to_pixels", [np.trunc, np.round])  # ultralytics' way, and others'
@settings(max_examples=100, deadline=None)
@given(ids=IDS)
def test_segments_of_one_part_come_back_with_their_holes_filled(
    to_pixels: np.ufunc, ids: NDArray[np.int32]
) -> None:
    rows = rows_of(ids, Place("a.jpg", "a", ".jpg"))
    assert len(rows) == len(measure(ids))
    for row, id_ in zip(rows, measure(ids), strict=True):
        assert row[0] == "1"
        assert len(row) >= 7  # three points at least: fewer numbers are a box
        mask = ids == id_
        points = np.array(row[1:], dtype=np.float32).reshape(-1, 2) * ids.shape[::-1]
        canvas = np.zeros(ids.shape, dtype=np.uint8)
        cv2.fillPoly(canvas, [to_pixels(points).astype(np.int32)], (1,))
        if ndimage.label(mask, np.ones((3, 3)))[1] == 1:
            assert np.array_equal(canvas.astype(bool), ndimage.binary_fill_holes(mask))
        else:
            assert canvas[mask].all()  # and the lines that join its parts


def test_the_lists_name_the_pictures_and_the_classes_are_numbered() -> None:
    parts = {
        "train": [Place("d/1.jpg", "d/1", ".jpg", "train"), Place("2.png", "2", ".png", "train")],
        "val": [Place("3.jpg", "3", ".jpg", "val")],
    }
    files = dict(yolo_lists(parts, VOCABULARY))
    assert files["train.txt"] == b"./images/train/d/1.jpg\n./images/train/2.png\n"
    data = yaml.safe_load(files["data.yaml"])
    assert data == {"train": "train.txt", "val": "val.txt", "names": {0: "cat", 1: "dog"}}


@pytest.mark.parametrize(("part", "file"), [("", "train.txt"), ("val", "val.txt")])
def test_readers_that_ask_for_train_and_val_get_what_there_is(part: str, file: str) -> None:
    files = dict(yolo_lists({part: [Place("1.jpg", "1", ".jpg", part)]}, VOCABULARY))
    assert files.keys() == {file, "data.yaml"}
    data = yaml.safe_load(files["data.yaml"])
    assert (data["train"], data["val"]) == (file, file)
    assert f"# No other images: {file} is both".encode() in files["data.yaml"]
