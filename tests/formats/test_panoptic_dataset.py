"""Reading COCO panoptic, ours and others."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    read_panoptic_png,
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
    dataset = read_coco_panoptic(folder / "panoptic.json", trust_states=True)
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
    [(read, _)] = read_coco_panoptic(folder / "panoptic.json", trust_states=True)
    assert read.file_name == name


def test_another_tools_file_counts_as_imported_and_accepted(folder: Path) -> None:
    info = {"id": 1, "category_id": 3, "iscrowd": 1, "bbox": [0.5, 0, 1.5, 1], "area": 99.5}
    rows = [{"image_id": 1, "file_name": "a b/#1 %.png", "segments_info": [info]}]
    images = [{"id": 1, "file_name": "x.jpg", "width": 3, "height": 2, "license": 4}]
    categories = [{"id": 3, "name": "cat"}]
    write_panoptic_png(folder / "panoptic" / "a b/#1 %.png", (IDS == 1).astype(np.int32))
    path = change(folder, annotations=rows, images=images, categories=categories)
    [(_, panoptic_map)] = read_coco_panoptic(path, folder / "panoptic")
    [segment] = panoptic_map.segments
    assert (segment.source, segment.state, segment.is_crowd) == ("imported", "accepted", True)
    assert (segment.area, segment.bbox) == (2, (0, 0, 2, 1))  # measured, whatever the file says


def test_images_may_tell_no_more_than_their_ids(folder: Path) -> None:
    path = change(folder, images=[{"id": 1}, {"id": 2}])
    annotations = [annotation for annotation, _ in read_coco_panoptic(path)]
    assert [annotation.file_name for annotation in annotations] == [
        "a b/#1 %.png",
        "ünï.png",
    ]
    assert (annotations[0].width, annotations[0].height) == (0, 0)


def test_a_png_that_differs_from_the_json_is_refused(folder: Path) -> None:
    write_panoptic_png(folder / "panoptic" / "ünï.png", np.array([[1, 9, 9, 9]], dtype=np.int32))
    dataset = read_coco_panoptic(folder / "panoptic.json", trust_states=True)
    with pytest.raises(FormatError) as caught:
        list(dataset)
    assert "4 x 1" in str(caught.value)
    assert "id 9 is in the PNG only" in str(caught.value)
    assert "id 2 is in the JSON only" in str(caught.value)
    assert "ünï.png" in str(caught.value)


def test_faulty_annotations_are_left_out_and_told_and_the_others_are_read(folder: Path) -> None:
    info = {"id": 1, "category_id": 99}
    rows = json.loads((folder / "panoptic.json").read_text())["annotations"]
    rows[1] = {"image_id": 2, "file_name": "absent.png", "segments_info": [info, info]}
    rows.append({"image_id": 3, "segments_info": []})
    dataset = read_coco_panoptic(change(folder, annotations=rows))
    assert [annotation.file_name for annotation in dataset.annotations] == ["a b/#1 %.jpg"]
    for problem in (
        "absent.png: id 1 twice",
        "category 99, which is unknown",
        "absent.png is missing",
        "annotations.2.file_name: Field required",
    ):
        assert any(problem in fault for fault in dataset.faults), dataset.faults


def test_images_and_annotations_without_each_other_are_passed_over_and_counted(
    folder: Path,
) -> None:
    rows = json.loads((folder / "panoptic.json").read_text())["annotations"]
    rows[1]["image_id"] = 5
    dataset = read_coco_panoptic(change(folder, annotations=rows))
    assert len(dataset) == 1
    assert not dataset.faults
    assert [note.split(";")[0] for note in dataset.notes] == [
        "1 images have no annotation",
        "1 annotations are of no listed image",
    ]


def test_fields_that_labels_do_not_need_may_hold_anything(folder: Path) -> None:
    document = json.loads((folder / "panoptic.json").read_text())
    for image, annotation in zip(document["images"], document["annotations"], strict=True):
        image |= {"id": f"scene {image['id']}", "width": None, "height": math.nan}
        annotation |= {"image_id": image["id"], "state": "done"}
        for info in annotation["segments_info"]:
            info |= {
                "score": math.nan,
                "margin": "high",
                "second": "dog",
                "state": 7,
                "source": None,
            }
    for number, category in enumerate(document["categories"]):
        category |= {"color": "#a60f2f" if number else None, "synonyms": None}
    document["categories"].append({"id": 77, "name": None})
    dataset = read_coco_panoptic(change(folder, **document))
    assert not dataset.faults
    for annotation, panoptic_map in dataset:
        assert (annotation.width, annotation.height) == (0, 0)
        for segment in panoptic_map.segments:
            assert (segment.score, segment.margin, segment.second) == (None, None, None)
            assert (segment.source, segment.state) == ("imported", "accepted")
    assert len(dataset.vocabulary) == len(document["categories"]) - 1


def test_states_of_another_tool_count_only_where_somebody_trusts_them(folder: Path) -> None:
    document = json.loads((folder / "panoptic.json").read_text())
    for annotation in document["annotations"]:
        annotation["state"] = "in review"
        for info in annotation["segments_info"]:
            info["state"] = "proposed"  # panopticapi hands on fields that it does not know
    path = change(folder, **document)
    for trusted, of_image, of_segment in (
        (False, "reviewed", "accepted"),
        (True, "in review", "proposed"),
    ):
        for annotation in read_coco_panoptic(path, trust_states=trusted).annotations:
            assert annotation.state == of_image
            assert {segment.state for segment in annotation.segments} == {of_segment}


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_pngs_with_alpha_or_with_a_palette_are_read(folder: Path, mode: str) -> None:
    for path in (folder / "panoptic").rglob("*.png"):
        with Image.open(path) as image:
            image.load()
        (image.quantize(256) if mode == "P" else image.convert(mode)).save(path)
    for _, panoptic_map in read_coco_panoptic(folder / "panoptic.json"):
        assert np.array_equal(panoptic_map.ids, IDS)


def test_a_png_that_would_unpack_to_gigabytes_is_refused_by_its_header(folder: Path) -> None:
    path = folder / "panoptic" / "ünï.png"
    png, side = path.read_bytes(), (40_000).to_bytes(4)
    path.write_bytes(png[:16] + side + side + png[24:])  # the header says so
    dataset = read_coco_panoptic(folder / "panoptic.json")
    with pytest.raises(FormatError, match="40000 x 40000 pixels are more than"):
        list(dataset)


def test_only_regular_files_are_read(folder: Path) -> None:
    path = folder / "panoptic" / "ünï.png"
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(FormatError, match="is no regular file"):
        read_panoptic_png(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no whole JSON"),
        ("[]", "no list of `annotations`"),
        ('{"images": [], "categories": []}', "annotations"),
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
