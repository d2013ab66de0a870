"""Class PNGs, made from a panoptic map."""

import io
import json
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.formats.class_png import (
    class_indices,
    class_png_files,
    classes_file,
    encode_class_png,
    escaped,
    per_class_png_files,
)
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary(
    "three",
    (
        Category("cat", 30, color=(255, 0, 0)),
        Category("sky", 7, is_thing=False, color=(0, 0, 255)),
        Category("a/b", 8, color=(0, 255, 0)),
    ),
)
IDS = np.array([[0, 5, 5], [9, 9, 6]], dtype=np.int32)
MAP = PanopticMap(
    IDS,
    (
        Segment(5, 30, True, 2, (1, 0, 2, 1)),
        Segment(6, 30, True, 1, (2, 1, 1, 1)),
        Segment(9, 8, True, 2, (0, 1, 2, 1)),
    ),
)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_pixels_are_places_in_the_vocabulary_from_1_on() -> None:
    assert class_indices(MAP, VOCABULARY).tolist() == [[0, 1, 1], [3, 3, 1]]


def test_an_empty_map_is_unlabelled_throughout() -> None:
    empty = PanopticMap(np.zeros((2, 2), dtype=np.int32), ())
    assert class_indices(empty, VOCABULARY).tolist() == [[0, 0], [0, 0]]
    assert list(per_class_png_files("x.jpg", empty, VOCABULARY)) == []


def test_a_class_png_shows_the_colours_of_the_vocabulary() -> None:
    [(path, data)] = class_png_files("dog/1.png", MAP, VOCABULARY)
    assert path == "dog/1.png"
    image = opened(data)
    assert image.mode == "P"
    assert np.asarray(image).tolist() == [[0, 1, 1], [3, 3, 1]]
    colours = np.asarray(image.convert("RGB"))
    assert colours[0].tolist() == [[0, 0, 0], [255, 0, 0], [255, 0, 0]]
    assert colours[1, 0].tolist() == [0, 255, 0]


def test_more_classes_than_a_palette_holds_make_16_bit_pngs() -> None:
    many = Vocabulary("many", tuple(Category(f"class {i}", i) for i in range(300)))
    indices = np.array([[0, 300]], dtype=np.uint16)
    image = opened(encode_class_png(indices, many))
    assert image.mode == "I;16"
    assert np.asarray(image).tolist() == [[0, 300]]


def test_an_index_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.4"):
        encode_class_png(np.array([[0, 4]]), VOCABULARY)


def test_each_class_that_occurs_gets_a_black_and_white_png() -> None:
    files = dict(per_class_png_files("dog/1.png", MAP, VOCABULARY))
    assert list(files) == ["cat/dog/1.png", "a%2Fb/dog/1.png"]
    cat = np.asarray(opened(files["cat/dog/1.png"]))
    assert cat.tolist() == [[0, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".", "traffic light", "50% #1", "Füße", "a\\b", "C:"]
)
def test_a_class_name_makes_one_plain_folder_name(name: str) -> None:
    assert unquote(escaped(name)) == name
    assert not set(escaped(name)) & set("/\\ .:#")


def test_long_class_names_become_folder_names_that_a_disk_can_hold() -> None:
    names = ["類" * 85, "類" * 84 + "別"]
    folders = [escaped(name) for name in names]
    assert [len(folder) for folder in folders] == [255, 255]
    assert folders[0] != folders[1]


def test_the_classes_file_tells_index_from_name() -> None:
    rows = json.loads(classes_file(VOCABULARY))
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["name"] == "unlabelled"
    assert rows[3] == {"index": 3, "name": "a/b", "color": [0, 255, 0], "category_id": 8}
