"""Reading class PNGs back."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.class_png import classes_file, encode_class_png, read_class_png_folder
from frozenseg_label.vocabulary import Category, Vocabulary

WORDS = Vocabulary("words", (Category("cat", 7), Category("sky", 3, is_thing=False)))
INDICES = np.array([[0, 1], [2, 2]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "classes.json").write_bytes(classes_file(WORDS))
    (tmp_path / "a.jpg.png").write_bytes(encode_class_png(INDICES, WORDS))
    return tmp_path


def test_what_was_written_is_read(folder: Path) -> None:
    labels = read_class_png_folder(folder)
    assert labels.images == ("a.jpg",)
    assert [(c.name, c.id) for c in labels.vocabulary.categories] == [("cat", 7), ("sky", 3)]
    assert labels.read("a.jpg").tolist() == INDICES.tolist()


def test_many_classes_are_read_from_16_bits(tmp_path: Path) -> None:
    many = Vocabulary("many", tuple(Category(f"c{i}", i) for i in range(300)))
    (tmp_path / "classes.json").write_bytes(classes_file(many))
    (tmp_path / "a.png").write_bytes(encode_class_png(np.array([[0, 300]]), many))
    assert read_class_png_folder(tmp_path).read("a").tolist() == [[0, 300]]


def test_a_value_without_a_class_or_a_colour_picture_is_refused(folder: Path) -> None:
    labels = read_class_png_folder(folder)
    Image.fromarray(np.full((2, 2), 3, dtype=np.uint8)).save(folder / "a.jpg.png")
    with pytest.raises(FormatError, match=r"value 3 is no class of .* \(2 classes\)"):
        labels.read("a.jpg")
    Image.fromarray(np.zeros((2, 2, 3), dtype=np.uint8)).save(folder / "a.jpg.png")
    with pytest.raises(FormatError, match=r"shape \(2, 2, 3\)"):
        labels.read("a.jpg")
    (folder / "a.jpg.png").write_bytes(b"torn")
    with pytest.raises(FormatError, match="no whole PNG"):
        labels.read("a.jpg")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no whole JSON"),
        (json.dumps([{"index": 1, "name": "cat"}]), "color"),
        (json.dumps([{"index": 2, "name": "cat", "color": [1, 2, 3]}]), "indices must be 0, 1, 2"),
        (json.dumps([]), "empty"),
    ],
)
def test_what_is_no_list_of_classes_is_told(folder: Path, content: str, said: str) -> None:
    (folder / "classes.json").write_text(content)
    with pytest.raises(FormatError, match=said) as caught:
        read_class_png_folder(folder)
    assert str(folder / "classes.json") in str(caught.value)
