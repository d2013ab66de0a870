"""COCO panoptic files: the id coding, the PNGs, the JSON."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    SegmentInfo,
    decode_panoptic_png,
    encode_panoptic_png,
    ids_to_rgb,
    png_name,
    read_panoptic_png,
    rgb_to_ids,
    segment_row,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.panoptic import Segment, measure
from frozenseg_label.vocabulary import Category, Vocabulary

CAT = Category("cat", 3, color=(255, 0, 0))
SKY = Category("sky", 7, ("heaven",), is_thing=False, color=(0, 0, 255))
VOCABULARY = Vocabulary("two", (CAT, SKY))

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)
IDS = arrays.arrays(np.int32, SHAPES, elements=st.integers(0, 256**3 - 1))


def test_an_id_is_red_plus_256_green_plus_65536_blue() -> None:
    ids = np.array([[0, 1, 256, 65536, 256**3 - 1]], dtype=np.int32)
    assert ids_to_rgb(ids).tolist() == [
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [255, 255, 255]]
    ]


@settings(max_examples=60, deadline=None)
@given(IDS)
def test_ids_survive_the_png(ids: NDArray[np.int32]) -> None:
    back = decode_panoptic_png(encode_panoptic_png(ids), "png")
    assert back.dtype == np.int32
    assert np.array_equal(back, ids)
    assert np.array_equal(rgb_to_ids(ids_to_rgb(ids)), ids)


@pytest.mark.parametrize("wrong", [-1, 256**3])
def test_an_id_that_three_bytes_cannot_hold_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match=str(wrong)):
        ids_to_rgb(np.array([[wrong]], dtype=np.int32))


def test_a_png_is_what_other_readers_see(tmp_path: Path) -> None:
    path = tmp_path / "dog" / png_name("1.jpg")
    ids = np.array([[0, 70000], [5, 5]], dtype=np.int32)
    write_panoptic_png(path, ids)
    with Image.open(path) as image:
        assert image.mode == "RGB"
        assert np.asarray(image)[0, 1].tolist() == [70000 % 256, 70000 // 256 % 256, 70000 // 65536]
    assert np.array_equal(read_panoptic_png(path), ids)


def test_a_label_map_of_any_size_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)  # Image.open would refuse from 7 pixels on
    ids = np.arange(100, dtype=np.int32).reshape(10, 10)
    assert np.array_equal(decode_panoptic_png(encode_panoptic_png(ids), "png"), ids)


def test_what_is_no_panoptic_png_is_told_by_name(tmp_path: Path) -> None:
    whole = encode_panoptic_png(np.ones((20, 20), dtype=np.int32))
    grey = tmp_path / "grey.png"
    Image.new("L", (2, 2)).save(grey)
    for name, data in (
        ("grey.png", grey.read_bytes()),
        ("torn.png", whole[: len(whole) // 2]),
        ("text.png", b"hello"),
        ("empty.png", b""),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=name):
            read_panoptic_png(tmp_path / name)
    with pytest.raises(FormatError, match="absent"):
        read_panoptic_png(tmp_path / "absent.png")


def test_areas_and_boxes_are_measured() -> None:
    ids = np.array([[0, 4, 4], [0, 0, 4], [9, 0, 0]], dtype=np.int32)
    assert measure(ids) == {4: (3, (1, 0, 2, 2)), 9: (1, (0, 2, 1, 1))}


def test_a_segment_survives_its_row_with_all_fields() -> None:
    full = Segment(
        5, 3, True, 10, (1, 2, 3, 4), 0.5, 0.25, 7, 0.125, "model:abc", "edited", is_crowd=True
    )
    bare = Segment(6, 7, False, 1, (0, 0, 1, 1))
    for segment in (full, bare):
        row = json.loads(json.dumps(segment_row(segment)))
        info = SegmentInfo.model_validate(row)
        assert info.segment(segment.is_thing, segment.area, segment.bbox) == segment
    assert {"score", "margin", "second", "disagreement"}.isdisjoint(segment_row(bare))


def annotation(number: int, name: str, *segments: Segment) -> PanopticAnnotation:
    return PanopticAnnotation(number, name, png_name(name), 4, 3, segments)


def test_the_json_has_all_that_panopticapi_reads(tmp_path: Path) -> None:
    path = tmp_path / "panoptic.json"
    segment = Segment(5, 3, True, 10, (1, 2, 3, 4), 0.5, source="model:abc")
    write_coco_panoptic(path, VOCABULARY, [annotation(1, "dog/1.jpg", segment)], {"year": 2026})
    data = json.loads(path.read_text())
    assert data["info"] == {"year": 2026}
    assert data["images"] == [{"id": 1, "file_name": "dog/1.jpg", "width": 4, "height": 3}]
    [row] = data["annotations"]
    assert row["image_id"] == 1
    assert row["file_name"] == "dog/1.png"
    [info] = row["segments_info"]
    assert info == {
        "id": 5,
        "category_id": 3,
        "area": 10,
        "bbox": [1, 2, 3, 4],
        "iscrowd": 0,
        "isthing": 1,
        "score": 0.5,
        "source": "model:abc",
        "state": "proposed",
    }
    assert data["categories"][1] == {
        "id": 7,
        "name": "sky",
        "supercategory": "stuff",
        "isthing": 0,
        "color": [0, 0, 255],
        "synonyms": ["heaven"],
    }


def test_a_json_without_images_is_whole(tmp_path: Path) -> None:
    write_coco_panoptic(tmp_path / "panoptic.json", VOCABULARY, [])
    data = json.loads((tmp_path / "panoptic.json").read_text())
    assert data["annotations"] == data["images"] == []


def test_annotations_are_streamed_not_kept(tmp_path: Path) -> None:
    earlier: list[weakref.ref[PanopticAnnotation]] = []
    alive = []

    def many() -> Iterator[PanopticAnnotation]:
        for number in range(5):
            made = annotation(number, f"{number}.jpg")
            alive.append(sum(reference() is not None for reference in earlier))
            earlier.append(weakref.ref(made))
            yield made
            del made

    write_coco_panoptic(tmp_path / "panoptic.json", VOCABULARY, many())
    assert max(alive) <= 1  # at most the one before
