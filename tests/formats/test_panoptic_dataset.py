"""Reading COCO panoptic, ours and others."""

import json
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary(
    "panoptic",
    (
        Category("cat", 3, ("kitten",), color=(255, 0, 0)),
        Category("sky", 7, is_thing=False, color=(0, 0, 255)),
    ),
)
IDS = np.array([[1, 1, 0], [2, 2, 2]], dtype=np.int32)
SEGMENTS = (
    Segment(1, 3, True, 2, (0, 0, 2, 1), 0.5, 0.25, 7, 0.0, "model:abc", "accepted", True),
    Segment(2, 7, False, 3, (0, 1, 3, 1), source="human", state="edited"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A panoptic set of two images, one of them with an odd name."""
    annotations = []
    for number, name in enumerate(["a b/#1 %.jpg", "ünï.png"], start=1):
        write_panoptic_png(tmp_path / "panoptic" / png_name(name), IDS)
        annotations.append(
            PanopticAnnotation(number, name, png_name(name), 3, 2, SEGMENTS, "reviewed")
        )
    write_coco_panoptic(tmp_path / "panoptic.json", VOCABULARY, annotations)
    return tmp_path


def change(folder: Path, **parts: object) -> Path:
    """The JSON with some of its lists replaced."""
    path = folder / "panoptic.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))
    return path


def test_what_was_written_is_read(folder: Path) -> None:
    dataset = read_coco_panoptic(folder / "panoptic.json")
    assert dataset.vocabulary == VOCABULARY
    assert len(dataset) == 2
    for annotation, panoptic_map in dataset:
        panoptic_map.check()
        assert annotation.state == "reviewed"
        assert np.array_equal(panoptic_map.ids, IDS)
        assert panoptic_map.segments == SEGMENTS
    assert [annotation.file_name for annotation, _ in dataset] == ["a b/#1 %.jpg", "ünï.png"]


def test_a_file_name_that_is_no_unicode_survives(folder: Path) -> None:
    name = b"caf\xe9.jpg".decode(errors="surrogateescape")
    write_panoptic_png(folder / "panoptic" / png_name(name), IDS)
    annotation = PanopticAnnotation(1, name, png_name(name), 3, 2, SEGMENTS)
    write_coco_panoptic(folder / "panoptic.json", VOCABULARY, [annotation])
    [(read, _)] = read_coco_panoptic(folder / "panoptic.json")
    assert read.file_name == name


def test_another_tools_file_counts_as_imported_and_accepted(folder: Path) -> None:
    info = {"id": 1, "category_id": 3, "iscrowd": 1, "bbox": [0.5, 0, 1.5, 1], "area": 99.5}
    rows = [{"image_id": 1, "file_name": "a b/#1 %.jpg.png", "segments_info": [info]}]
    images = [{"id": 1, "file_name": "x.jpg", "width": 3, "height": 2, "license": 4}]
    categories = [{"id": 3, "name": "cat"}]
    write_panoptic_png(folder / "panoptic" / "a b/#1 %.jpg.png", (IDS == 1).astype(np.int32))
    path = change(folder, annotations=rows, images=images, categories=categories)
    [(_, panoptic_map)] = read_coco_panoptic(path, folder / "panoptic")
    [segment] = panoptic_map.segments
    assert (segment.source, segment.state, segment.is_crowd) == ("imported", "accepted", True)
    assert (segment.area, segment.bbox) == (2, (0, 0, 2, 1))  # measured, whatever the file says


def test_images_may_tell_no_more_than_their_ids(folder: Path) -> None:
    path = change(folder, images=[{"id": 1}, {"id": 2}])
    annotations = [annotation for annotation, _ in read_coco_panoptic(path)]
    assert [annotation.file_name for annotation in annotations] == [
        "a b/#1 %.jpg.png",
        "ünï.png.png",
    ]
    assert (annotations[0].width, annotations[0].height) == (0, 0)


def test_a_png_that_differs_from_the_json_is_refused(folder: Path) -> None:
    write_panoptic_png(
        folder / "panoptic" / "ünï.png.png", np.array([[1, 9, 9, 9]], dtype=np.int32)
    )
    dataset = read_coco_panoptic(folder / "panoptic.json")
    with pytest.raises(FormatError) as caught:
        list(dataset)
    assert "4 x 1" in str(caught.value)
    assert "id 9 is in the PNG only" in str(caught.value)
    assert "id 2 is in the JSON only" in str(caught.value)
    assert "ünï.png.png" in str(caught.value)


def test_all_that_contradicts_itself_is_listed_at_once(folder: Path) -> None:
    (folder / "panoptic" / "ünï.png.png").unlink()
    info = {"id": 1, "category_id": 99}
    rows = [
        {"image_id": 2, "file_name": "ünï.png.png", "segments_info": [info, info]},
        {"image_id": 5, "file_name": "a b/#1 %.jpg.png", "segments_info": []},
    ]
    with pytest.raises(FormatError) as caught:
        read_coco_panoptic(change(folder, annotations=rows))
    for problem in (
        "image 1 has no annotation",
        "image 5 is not in `images`",
        "id 1 twice",
        "category 99, which is unknown",
        "ünï.png.png is missing",
    ):
        assert problem in str(caught.value)


def test_a_long_list_of_problems_is_cut(folder: Path) -> None:
    images = [{"id": i, "file_name": "x", "width": 1, "height": 1} for i in range(50)]
    with pytest.raises(FormatError, match="and 38 more"):
        read_coco_panoptic(change(folder, images=images))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no whole JSON"),
        ("[]", "valid"),
        ('{"images": [{"id": "one"}], "annotations": [], "categories": []}', "images.0.id"),
        ('{"images": [], "annotations": [], "categories": []}', "empty"),
    ],
)
def test_what_is_no_panoptic_json_is_told_by_name(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(FormatError, match=told) as caught:
        read_coco_panoptic(path)
    assert str(path) in str(caught.value)


def test_a_missing_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"absent\.json: cannot be read"):
        read_coco_panoptic(tmp_path / "absent.json")
