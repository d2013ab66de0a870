"""Label Studio's tasks: predictions until a person has finished the image."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from frozenseg_label.formats import label_studio
from frozenseg_label.formats.label_studio import (
    brush_bytes,
    labelling_interface,
    write_label_studio,
)
from tests.formats.small_image import ROWS, VOCABULARY, small_image

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6))


def unpacked(packed: list[int], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read the bits one after the other, as the rule in `brush_bytes` says."""
    bits = iter(np.unpackbits(np.array(packed, dtype=np.uint8)).tolist())

    def number(size: int) -> int:
        return int("".join(str(next(bits)) for _ in range(size)), 2)

    total, word, sizes = number(32), number(5) + 1, [number(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        is_run = number(1)
        length = number(sizes[number(2)]) + 1
        values += [number(word)] * length if is_run else [number(word) for _ in range(length)]
    return np.array(values, dtype=np.uint8).reshape(*shape, 4)


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_a_packed_mask_is_unpacked_as_four_equal_channels(mask: NDArray[np.bool_]) -> None:
    pixels = unpacked(brush_bytes(mask), mask.shape)
    assert np.array_equal(pixels, np.repeat(mask[..., None] * np.uint8(255), 4, axis=2))


@settings(max_examples=60, deadline=None)
@given(mask=MASKS)
def test_a_run_longer_than_the_bits_of_a_length_goes_in_pieces(mask: NDArray[np.bool_]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_studio, "LONGEST_BITS", 3)
        pixels = unpacked(brush_bytes(mask), mask.shape)
    assert np.array_equal(pixels[..., 3] == 255, mask)


def test_proposals_are_predictions_and_a_reviewed_image_has_an_annotation(tmp_path: Path) -> None:
    images = [small_image("my cats/1.jpg"), small_image("2.jpg", state="reviewed")]
    write_label_studio(tmp_path / "tasks.json", VOCABULARY, images)
    proposed, reviewed = json.loads((tmp_path / "tasks.json").read_text())
    assert proposed["data"]["image"] == "/data/local-files/?d=my%20cats/1.jpg"
    (prediction,) = proposed["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("abc", 0.5)
    assert "predictions" not in reviewed
    for result in (prediction["result"], reviewed["annotations"][0]["result"]):
        cat = result[0]
        assert cat["value"]["brushlabels"] == ["cat"]
        assert cat["score"] == 0.5
        pixels = unpacked(cat["value"]["rle"], (3, 5))
        assert np.array_equal(pixels[..., 0] == 255, np.array(ROWS) == 1)
        assert len({region["id"] for region in result}) == 3


def test_the_labelling_interface_has_the_classes_and_the_names_that_the_tasks_use() -> None:
    ((path, text),) = labelling_interface({}, VOCABULARY)
    root = ElementTree.fromstring(text)
    assert path == "interface.xml"
    assert [label.get("value") for label in root.iter("Label")] == ["cat", "dogs & 'co'", "sky"]
    brush = root.find("BrushLabels")
    assert brush is not None
    assert (brush.get("name"), brush.get("toName")) == ("label", "image")
