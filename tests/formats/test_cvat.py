"""CVAT's XML: masks row by row in their boxes."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.cvat import row_runs, write_cvat
from frozenseg_label.vocabulary import Category, Vocabulary
from tests.formats.small_image import VOCABULARY, small_image

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6))


@given(MASKS)
def test_runs_are_outside_and_inside_by_turns(mask: NDArray[np.bool_]) -> None:
    runs = row_runs(mask)
    inside = np.arange(len(runs)) % 2 == 1
    assert np.array_equal(np.repeat(inside, runs), mask.ravel())


def test_masks_have_their_boxes_classes_and_sources(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    images = [small_image("<&'\".jpg"), small_image("2.jpg", source="human")]
    write_cvat(path, VOCABULARY, images)
    root = ElementTree.parse(path).getroot()
    assert root.findtext("version") == "1.1"
    labels = [(label.findtext("name"), label.findtext("color")) for label in root.iter("label")]
    assert labels[:2] == [("cat", "#ff0000"), ("dogs & 'co'", "#00ff00")]
    first, second = root.findall("image")
    assert first.attrib == {"id": "0", "name": "<&'\".jpg", "width": "5", "height": "3"}
    cat, dog, _ = first.findall("mask")
    assert (cat.get("label"), cat.get("rle")) == ("cat", "0, 4, 1, 4")
    assert [dog.get(side) for side in ("left", "top", "width", "height")] == ["4", "0", "1", "3"]
    assert dog.get("label") == "dogs & 'co'"
    assert cat.get("source") == "auto"
    assert {mask.get("source") for mask in second.findall("mask")} == {"manual"}


def test_a_name_that_xml_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="XML"):
        write_cvat(tmp_path / "a.xml", VOCABULARY, [small_image("bell\x07.jpg")])
    odd = Vocabulary("odd", (Category("a\ufffeb", 1),))
    with pytest.raises(FormatError, match="XML"):
        write_cvat(tmp_path / "a.xml", odd, [])
    assert not list(tmp_path.iterdir())
