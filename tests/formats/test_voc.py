"""Pascal VOC: classes and objects in VOC's colours."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.export_image import Place
from frozenseg_label.formats.voc import voc_colors, voc_files, voc_lists
from frozenseg_label.vocabulary import Category, Vocabulary
from tests.formats.small_image import VOCABULARY, small_image


def opened(png: bytes) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8]]:
    """Return mode, values and colours."""
    with Image.open(io.BytesIO(png)) as image:
        return image.mode, np.asarray(image), np.asarray(image.convert("RGB"))


def test_values_are_places_and_colours_those_of_voc() -> None:
    files = dict(voc_files(small_image(part="train"), VOCABULARY))
    mode, classes, colors = opened(files["SegmentationClass/a/1.png"])
    assert mode == "P"
    assert classes.tolist() == [[1, 1, 1, 3, 2], [1, 0, 1, 3, 3], [1, 1, 1, 3, 2]]
    known = {0: [0, 0, 0], 1: [128, 0, 0], 2: [0, 128, 0], 3: [128, 128, 0]}  # as published
    assert all(colors[classes == value].tolist()[0] == color for value, color in known.items())
    _, objects, _ = opened(files["SegmentationObject/a/1.png"])
    assert objects.tolist() == [[1, 1, 1, 3, 2], [1, 0, 1, 3, 3], [1, 1, 1, 3, 2]]


def test_colours_of_voc_are_all_different() -> None:
    assert len(np.unique(voc_colors(np.arange(70000)), axis=0)) == 70000
    assert voc_colors(np.array([15, 20])).tolist() == [[192, 128, 128], [0, 64, 128]]


def test_more_classes_than_a_palette_holds_are_written_as_colours() -> None:
    many = Vocabulary("many", tuple(Category(f"{number}", number) for number in range(1, 400)))
    image = small_image(rows=[[1]])
    mode, _, colors = opened(dict(voc_files(image, many))["SegmentationClass/a/1.png"])
    assert (mode, colors.tolist()) == ("RGB", [[[128, 0, 0]]])


def test_the_lists_and_the_label_map() -> None:
    places = {
        "train": [Place("a/1.jpg", "a/1", ".jpg", "train")],
        "val": [Place("2.jpg", "2", ".jpg", "val")],
    }
    files = dict(voc_lists(places, VOCABULARY))
    assert files["ImageSets/Segmentation/train.txt"] == b"a/1\n"
    assert files["labelmap.txt"].decode().splitlines() == [
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "cat:128,0,0::",
        "dogs & 'co':0,128,0::",
        "sky:128,128,0::",
    ]
    assert "ImageSets/Segmentation/trainval.txt" in dict(voc_lists({"": []}, VOCABULARY))
    with pytest.raises(FormatError, match="label map"):
        list(voc_lists({}, Vocabulary("odd", (Category("a:b", 1),))))
