"""Files that other tools wrote, and odd ones: read right, or told in a sentence."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.coco_instances import read_coco_instances
from frozenseg_label.formats.cvat import read_cvat
from frozenseg_label.formats.label_studio import brush_bytes, brush_mask, read_label_studio
from frozenseg_label.formats.labelme import read_labelme
from frozenseg_label.formats.run_lengths import coco_mask
from frozenseg_label.formats.shapes import ForeignSet, Shape
from frozenseg_label.formats.voc import read_voc
from frozenseg_label.formats.yolo_segmentation import read_yolo

SIZE = 8, 10


def shapes_of(labels: ForeignSet, size: tuple[int, int] | None = None) -> tuple[Shape, ...]:
    [image] = labels.images.values()
    return image.read(size).shapes


def placed(shape: Shape, size: tuple[int, int] = SIZE) -> list[tuple[int, int]]:
    """The pixels of a shape, y and x."""
    mask = np.zeros(size, dtype=bool)
    shape.cut(mask)[shape.mask] = True
    return [(int(y), int(x)) for y, x in np.argwhere(mask)]


def coco(tmp_path: Path, **annotation: Any) -> Path:  # noqa: ANN401 - any JSON
    row = {"image_id": 1, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [row | annotation],
    }
    (tmp_path / "instances.json").write_text(json.dumps(document))
    return tmp_path / "instances.json"


def test_cocos_run_lengths_are_those_of_pycocotools() -> None:
    random = np.random.default_rng(0)
    for number in range(50):
        height, width = random.integers(1, 70, 2).tolist()
        mask = random.random((height, width)) < number / 49
        counts = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
        assert np.array_equal(coco_mask(counts.decode(), height, width, "here"), mask)


@pytest.mark.parametrize(
    "counts", ["", "0", "~~~", "PPPPPPPPPPPPP0", "\x00\xff", [80, 1], [-1, 81], [2**70], [0.5], 7]
)
def test_run_lengths_that_do_not_fit_are_told(counts: object) -> None:
    with pytest.raises(FormatError, match=r"here: (a run length|run lengths|no text)"):
        coco_mask(counts, *SIZE, "here")


def test_polygons_of_coco_are_drawn_as_pycocotools_does(tmp_path: Path) -> None:
    [shape] = shapes_of(read_coco_instances(coco(tmp_path)))
    assert (shape.x, shape.y, shape.mask.shape, shape.area) == (1, 1, (2, 3), 6)
    assert shape.is_polygon


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"segmentation": [[1, 1, 4]]}, "annotations.0: no polygon"),
        ({"segmentation": [[1, 1, 4, None, 2, 2]]}, "annotations.0: no polygon"),
        ({"segmentation": {"size": [9**9, 9**9], "counts": "0"}}, "not of the size of its image"),
        ({"segmentation": {"size": list(SIZE), "counts": [99]}}, "annotations.0: run lengths"),
    ],
)
def test_an_odd_annotation_is_named(tmp_path: Path, annotation: dict[str, Any], said: str) -> None:
    with pytest.raises(FormatError, match=said):
        shapes_of(read_coco_instances(coco(tmp_path, **annotation)))


def test_what_has_a_box_only_is_passed_over_and_what_has_no_class_is_told(tmp_path: Path) -> None:
    labels = read_coco_instances(coco(tmp_path, segmentation=[]))
    assert "1 annotations have a box only" in labels.notes[0]
    labels = read_coco_instances(coco(tmp_path, category_id=9))
    assert labels.faults == ("annotations.0: category 9 is unknown",)


def test_where_every_coco_object_is_a_crowd_none_is_one_and_that_is_told(tmp_path: Path) -> None:
    path = coco(tmp_path, iscrowd=1)  # as datumaro writes masks
    labels = read_coco_instances(path)
    assert [shape.is_crowd for shape in shapes_of(labels)] == [None]
    assert labels.notes == ("all 1 annotations have iscrowd 1, as some tools write it; ignored",)
    document = json.loads(path.read_text())
    document["annotations"].append(document["annotations"][0] | {"iscrowd": 0})
    path.write_text(json.dumps(document))
    labels = read_coco_instances(path)
    assert [shape.is_crowd for shape in shapes_of(labels)] == [True, False]
    assert "1 annotations are crowds" in labels.notes[0]


def cvat(tmp_path: Path, shapes: str, head: str = "") -> Path:
    size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
    text = f'<annotations>{head}<image id="0" name="1.jpg" {size}>{shapes}</image></annotations>'
    (tmp_path / "annotations.xml").write_text(text)
    return tmp_path / "annotations.xml"


def test_cvats_polygons_of_one_group_are_one_object_and_the_z_order_counts(tmp_path: Path) -> None:
    polygon = '<polygon label="{}" points="{}" z_order="{}" group_id="{}"></polygon>'
    shapes = [
        polygon.format("cat", "5,5;7,5;7,7;5,7", 1, 0),
        polygon.format("dog", "0,0;2,0;2,2;0,2", 0, 4),
        polygon.format("dog", "4,0;6,0;6,2;4,2", 0, 4),
        '<box label="cat" xtl="1" ytl="1" xbr="3" ybr="3"></box>',
    ]
    labels = read_cvat(cvat(tmp_path, "".join(shapes)))
    dog, cat = shapes_of(labels)
    assert labels.vocabulary.by_id(dog.category_id).name == "dog"
    assert (dog.area, cat.area) == (8, 4)
    assert "1 shapes are neither masks nor polygons" in labels.notes[0]


@pytest.mark.parametrize(
    ("shapes", "head", "said"),
    [
        ("<mask", "", "no whole XML"),
        ('<mask label="a" rle="1" left="9" top="0" width="5" height="1"/>', "", "leaves the image"),
        ('<mask label="a" rle="1" left="x" top="0" width="5" height="1"/>', "", "no number"),
        ('<mask label="a" rle="9, 9" left="0" top="0" width="5" height="1"/>', "", "run lengths"),
        ('<polygon label="a" points="1,1;nan,2;3,3"/>', "", "no polygon"),
        ("", "<a>" * 200 + "</a>" * 200, "nested too deeply"),
    ],
)
def test_odd_xml_is_told(tmp_path: Path, shapes: str, head: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        shapes_of(read_cvat(cvat(tmp_path, shapes, head)))


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY b "boom">]><annotations>&b;</annotations>')
    with pytest.raises(FormatError, match="document type"):
        read_cvat(path)


def label_studio(tmp_path: Path, **task: Any) -> Path:  # noqa: ANN401 - any JSON
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    return tmp_path / "tasks.json"


def test_of_a_task_the_last_finished_annotation_counts(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[2:4, 3:6] = True
    size = {"original_width": SIZE[1], "original_height": SIZE[0]}
    brush = size | {"value": {"rle": brush_bytes(mask), "brushlabels": ["cat"]}}
    corners = [[0, 0], [20, 0], [20, 25], [0, 25]]  # percent
    polygon = size | {"value": {"points": corners, "polygonlabels": ["dog"]}}
    path = label_studio(
        tmp_path,
        data={"image": "/data/upload/3/0a1b2c3d-my photo.jpg"},
        annotations=[{"result": [brush, polygon]}, {"result": [], "was_cancelled": True}],
        predictions=[{"result": []}],
    )
    labels = read_label_studio(path)
    assert [*labels.images] == ["my photo.jpg"]
    cat, dog = shapes_of(labels)
    assert placed(cat) == [(int(y), int(x)) for y, x in np.argwhere(mask)]
    assert (dog.x, dog.y, dog.is_polygon) == (0, 0, True)


@pytest.mark.parametrize("packed", [[], None, 10**9, "text", [1, 2, 3], [300], [0] * 7 + [255] * 9])
def test_brush_bytes_that_do_not_fit_are_told(packed: object) -> None:
    with pytest.raises(FormatError, match="here"):
        brush_mask(packed, SIZE, "here")


def test_a_task_of_an_odd_size_is_told(tmp_path: Path) -> None:
    value = {"points": [[0, 0], [9, 0], [9, 9]], "polygonlabels": ["dog"]}
    result = {"original_width": 10**9, "original_height": 10**9, "value": value}
    path = label_studio(tmp_path, data={"image": "1.jpg"}, annotations=[{"result": [result]}])
    with pytest.raises(FormatError, match="a size of 1000000000 x 1000000000"):
        shapes_of(read_label_studio(path))


def labelme(tmp_path: Path, **shape: Any) -> Path:  # noqa: ANN401 - any JSON
    points = [[1, 1], [3, 1], [3, 2], [1, 2]]
    row = {"label": "cat", "points": points, "shape_type": "polygon"} | shape
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    document = {"shapes": [row], "imagePath": "..\\photos\\1.png"} | size
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub" / "1.json").write_text(json.dumps(document))
    return tmp_path


def png(height: int, width: int) -> str:
    file = io.BytesIO()
    Image.new("1", (width, height), 1).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_labelmes_polygons_hold_their_rim(tmp_path: Path) -> None:
    labels = read_labelme(labelme(tmp_path))
    assert [*labels.images] == ["sub/1.png"]
    [shape] = shapes_of(labels)
    assert placed(shape) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"points": [[1, 1], [2, 2]]}, "shapes.0: no polygon"),
        ({"shape_type": "mask", "mask": "no base64!"}, "shapes.0: no mask that can be read"),
        ({"shape_type": "mask", "mask": png(2, 99)}, "shapes.0: its mask leaves the image"),
        ({"shape_type": "mask", "mask": png(2, 2), "points": []}, "shapes.0: no mask"),
        ({"label": ""}, "empty name"),
        ({"label": 3}, r"sub/1\.json: shapes\.0\.label"),
    ],
)
def test_an_odd_shape_is_named(tmp_path: Path, shape: dict[str, Any], said: str) -> None:
    with pytest.raises(FormatError, match=said):
        shapes_of(read_labelme(labelme(tmp_path, **shape)))


def test_vocs_own_folder_needs_no_label_map(tmp_path: Path) -> None:
    for folder, value in (("SegmentationClass", 0x800080), ("SegmentationObject", 0x800000)):
        (tmp_path / folder).mkdir()
        pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
        pixels[1:3, 1:4] = list(value.to_bytes(3))
        pixels[3, 1:4] = (224, 224, 192)  # void
        Image.fromarray(pixels).save(tmp_path / folder / "2007_000033.png")
    labels = read_voc(tmp_path)
    [shape] = shapes_of(labels)
    assert labels.vocabulary.by_id(shape.category_id).name == "bottle"
    assert shape.area == 6
    rows = ["background", *"abcdecat", "fox"]
    (tmp_path / "labelmap.txt").write_text("".join(f"{row}{n}:::\n" for n, row in enumerate(rows)))
    [shape] = shapes_of(read_voc(tmp_path))
    assert read_voc(tmp_path).vocabulary.by_id(shape.category_id).name == "e5"
    (tmp_path / "labelmap.txt").write_text("cat:1,2,3::\n")
    with pytest.raises(FormatError, match=r"colour 128, 0, 128 is no class of labelmap\.txt"):
        shapes_of(read_voc(tmp_path))
    (tmp_path / "labelmap.txt").write_text("cat:1,2\n")
    with pytest.raises(FormatError, match="line 1: not `name:red,green,blue::`"):
        read_voc(tmp_path)


def yolo(tmp_path: Path, row: str, names: str = "[cat, dog]") -> Path:
    (tmp_path / "images" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train").mkdir(parents=True)
    Image.new("RGB", (SIZE[1], SIZE[0])).save(tmp_path / "images" / "train" / "1.jpg")
    (tmp_path / "labels" / "train" / "1.txt").write_text(row)
    (tmp_path / "data.yaml").write_text(f"train: images/train\nnames: {names}\n")
    return tmp_path / "data.yaml"


def test_yolos_polygons_are_shares_of_the_size(tmp_path: Path) -> None:
    labels = read_yolo(yolo(tmp_path, "1 0 0 0.2 0 0.2 0.25 0 0.25\n0 .5 .5 .1 .1\n"))
    assert [*labels.images] == ["1.jpg"]
    [shape] = shapes_of(labels, SIZE)
    assert placed(shape) == [(y, x) for y in range(3) for x in range(3)]
    assert "1 rows are boxes" in labels.notes[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("7 0 0 1 0 1 1", "line 1: '7' is no class"),
        ("-1 0 0 1 0 1 1", "line 1: '-1' is no class"),
        ("0 0 0 1 0 1 nan", "line 1: no polygon"),
        ("0 0 0 1 0 1 x", "line 1: no polygon"),
        ("0 0 0 1 0 1", "line 1: no polygon"),
    ],
)
def test_an_odd_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        shapes_of(read_yolo(yolo(tmp_path, row)), SIZE)


@pytest.mark.parametrize("names", ["3", "{a: b}", "[]", "{-1: cat}", "[cat, cat]"])
def test_yolos_classes_have_to_be_a_list(tmp_path: Path, names: str) -> None:
    with pytest.raises(FormatError, match="names"):
        read_yolo(yolo(tmp_path, "", names))
