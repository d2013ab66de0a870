"""Truth in the folders and files that data sets publish is read as it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.evaluate_labels import evaluate
from frozenseg_label.evaluation.evaluation_report import EvaluationReport
from frozenseg_label.formats.class_png import classes_file, encode_class_png
from frozenseg_label.formats.coco_panoptic import ids_to_rgb
from frozenseg_label.formats.published_layouts import PublishedSet
from frozenseg_label.formats.voc import voc_colors
from frozenseg_label.label_sets.truth_source import TruthSource
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from tests.evaluation.conftest import write_set

CITY = "frankfurt_000000_000294"
STREETS = read_vocabulary("cityscapes-19")


def save(path: Path, values: list[list[int]], palette: bool = False) -> None:
    """Write a PNG of 8 bits, or of 16 where the values ask for them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.array(values, dtype=np.uint16 if np.max(values) > 255 else np.uint8)
    image = Image.fromarray(array)
    if palette:
        image = image.convert("P")
        image.putpalette(voc_colors(np.arange(256)).tobytes())
    image.save(path)


def labels(folder: Path, image: str, words: Vocabulary, names: list[list[str | None]]) -> Path:
    """Write what a run with these words said of one image: the class of each pixel."""
    ids = {c.name: c.id for c in words.categories}
    found = sorted({name for row in names for name in row if name is not None})
    numbers = {name: number for number, name in enumerate(found, start=1)}
    rows = [[0 if name is None else numbers[name] for name in row] for row in names]
    segments = (
        Segment(number, ids[name], words.by_id(ids[name]).is_thing)
        for name, number in numbers.items()
    )
    made = PanopticMap.of(np.array(rows, dtype=np.int32), segments)
    return write_set(folder, {image: made}, words)


def compared(
    predicted: Path, truth: Path, form: PublishedSet, ignore: int | None = None
) -> EvaluationReport:
    return evaluate(predicted, truth, truth_format=form, ignore_index=ignore)


def ious(report: EvaluationReport) -> dict[str, float | None]:
    return {row.name: row.figures.miou for row in report.classes}


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Labels of a picture in leftImg8bit/val: a road, a car of two, and sky."""
    names = [["road", "road", "car", "car", "sky", "sky"]]
    return labels(tmp_path / "out", f"frankfurt/{CITY}_leftImg8bit.png", STREETS, names)


@pytest.mark.parametrize("named", ["", "gtFine", "gtFine/val"])
@pytest.mark.parametrize(
    ("ending", "values"),
    [
        ("labelIds", [7, 7, 26, 26, 23, 4]),  # 4 is "static", which is not evaluated
        ("labelTrainIds", [0, 0, 13, 13, 10, 255]),
    ],
)
def test_cityscapes_class_files_are_paired_with_its_pictures_and_void_does_not_count(
    tmp_path: Path, streets: Path, named: str, ending: str, values: list[int]
) -> None:
    save(tmp_path / "cs/gtFine/val/frankfurt" / f"{CITY}_gtFine_{ending}.png", [values])
    save(tmp_path / "cs/leftImg8bit/val/frankfurt" / f"{CITY}_leftImg8bit.png", [[0] * 6])
    report = compared(streets, tmp_path / "cs" / named, "cityscapes")
    assert ious(report) == {"road": 1.0, "car": 1.0, "sky": 1.0}
    assert report.unlabelled_truth == pytest.approx(1 / 6)
    assert (report.groups["all"].pq, report.groups["things"].miou) == (None, 1.0)
    assert any("no PQ, AP and mask recall" in note for note in report.notes)


def test_cityscapes_instance_files_tell_objects_apart_and_groups_are_crowds(
    tmp_path: Path, streets: Path
) -> None:
    place = tmp_path / "gtFine/val/frankfurt" / f"{CITY}_gtFine_instanceIds.png"
    save(place, [[7, 7, 26000, 26001, 23, 26]])
    save(place.with_name(f"{CITY}_gtFine_labelIds.png"), [[7, 7, 26, 26, 23, 26]])
    with TruthSource(tmp_path, "cityscapes").open(None) as truth:
        [image] = truth.images
        found = truth.read_map(image)
    assert [(s.category_id, s.is_crowd) for s in found.segments] == [
        (7, False), (23, False), (26, True), (26, False), (26, False),
    ]  # fmt: skip
    report = compared(streets, tmp_path, "cityscapes")
    assert report.groups["stuff"].pq == 0.5  # road 1; of the sky only half is right: no match
    assert ious(report) == {"road": 1.0, "car": pytest.approx(2 / 3), "sky": 0.5}


def test_cityscapes_own_panoptic_json_is_read(tmp_path: Path, streets: Path) -> None:
    """As createPanopticImgs writes it: names of images are those of labels, ids are texts."""
    png = tmp_path / "cityscapes_panoptic_val" / f"{CITY}_gtFine_panoptic.png"
    png.parent.mkdir()
    ids = np.array([[7, 7, 26000, 26001, 23, 23]], dtype=np.int32)
    Image.fromarray(ids_to_rgb(ids)).save(png)
    rows = [(7, 7, 2, 0), (26000, 26, 1, 2), (26001, 26, 1, 3), (23, 23, 2, 4)]
    segments = [
        {"id": id_, "category_id": category, "area": area, "bbox": [x, 0, area, 1], "iscrowd": 0}
        for id_, category, area, x in rows
    ]
    document = {
        "images": [
            {"id": CITY, "width": 6, "height": 1, "file_name": f"{CITY}_gtFine_leftImg8bit.png"}
        ],
        "annotations": [{"image_id": CITY, "file_name": png.name, "segments_info": segments}],
        "categories": [
            {
                "id": c.id,
                "name": c.name,
                "color": c.color,
                "supercategory": "",
                "isthing": c.is_thing,
            }
            for c in STREETS.categories
        ],
    }
    path = tmp_path / "cityscapes_panoptic_val.json"
    path.write_text(json.dumps(document))
    for form in ("cityscapes", None):
        report = evaluate(streets, path, truth_format=form)
        assert report.groups["stuff"].pq == 1.0
        assert report.groups["things"].pq == 0.0  # one car where there are two


@pytest.mark.parametrize("named", ["", "annotations", "annotations/validation"])
def test_ade20k_values_are_one_more_than_its_places_and_0_is_other(
    tmp_path: Path, named: str
) -> None:
    words = read_vocabulary("ade20k-150")
    predicted = labels(tmp_path / "out", "ADE_val_00000001.jpg", words, [["wall", "sky", "flag"]])
    root = tmp_path / "ADEChallengeData2016"
    save(root / "annotations/validation/ADE_val_00000001.png", [[1, 3, 0]])
    save(root / "images/validation/ADE_val_00000001.jpg", [[0, 0, 0]])
    report = compared(predicted, root / named, "ade20k")
    assert ious(report) == {"wall": 1.0, "sky": 1.0}
    assert report.groups["all"].pq is None


def test_semantic_maps_are_compared_with_published_truth(tmp_path: Path) -> None:
    words = read_vocabulary("ade20k-150")
    (tmp_path / "semantic").mkdir()
    png = encode_class_png(np.array([[1, 3, 150]]), words)
    (tmp_path / "semantic" / "ADE_val_00000001.png").write_bytes(png)
    (tmp_path / "semantic" / "classes.json").write_bytes(classes_file(words))
    save(tmp_path / "annotations/validation/ADE_val_00000001.png", [[1, 3, 1]])
    report = compared(tmp_path / "semantic", tmp_path / "annotations", "ade20k")
    assert ious(report) == {"wall": 0.5, "sky": 1.0, "flag": None}  # no flag in the truth


@pytest.mark.parametrize("named", ["", "SegmentationClass"])
def test_voc_palettes_are_places_background_is_a_class_and_255_does_not_count(
    tmp_path: Path, named: str
) -> None:
    words = read_vocabulary("pascal-voc-21")
    names: list[list[str | None]] = [["background", "dog", "dog", "dog"]]
    predicted = labels(tmp_path / "out", "2007_000033.jpg", words, names)
    root = tmp_path / "VOCdevkit" / "VOC2012"
    save(root / "SegmentationClass/2007_000033.png", [[0, 0, 12, 255]], palette=True)
    save(root / "SegmentationObject/2007_000033.png", [[0, 0, 1, 255]], palette=True)
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_000033\n")
    report = compared(predicted, root / named, "voc")
    assert ious(report) == {"background": 0.5, "dog": 0.5}
    assert report.unlabelled_truth == 0.25


@pytest.mark.parametrize("named", ["", "stuffthingmaps", "stuffthingmaps/val2017"])
def test_coco_stuff_values_are_one_less_than_its_ids(tmp_path: Path, named: str) -> None:
    words = read_vocabulary("coco-stuff-171")
    last = words.categories[-1]
    assert last.id == 182
    names: list[list[str | None]] = [["person", last.name, "person"]]
    predicted = labels(tmp_path / "out", "000000000139.jpg", words, names)
    save(tmp_path / "coco/stuffthingmaps/val2017/000000000139.png", [[0, 181, 255]])
    report = compared(predicted, tmp_path / "coco" / named, "coco-stuff")
    assert ious(report) == {"person": 1.0, last.name: 1.0}


def test_a_value_that_the_set_does_not_have_is_a_fault_unless_it_is_to_be_ignored(
    tmp_path: Path,
) -> None:
    words = read_vocabulary("ade20k-150")
    predicted = labels(tmp_path / "out", "a.jpg", words, [["wall", "sky"]])
    save(tmp_path / "annotations/a.png", [[1, 255]])  # as detectron2's copy has it
    with pytest.raises(FormatError, match=r"value 255 is no class of ade20k-150.*--ignore-index"):
        compared(predicted, tmp_path / "annotations", "ade20k")
    report = compared(predicted, tmp_path / "annotations", "ade20k", 255)
    assert ious(report) == {"wall": 1.0}


def test_class_pngs_with_a_list_of_classes_may_have_a_value_to_ignore_too(tmp_path: Path) -> None:
    words = read_vocabulary("cityscapes-19")
    predicted = labels(tmp_path / "out", "a.jpg", words, [["road", "sky"]])
    save(tmp_path / "truth" / "a.png", [[1, 255]])
    (tmp_path / "truth" / "classes.json").write_bytes(classes_file(words))
    assert ious(evaluate(predicted, tmp_path / "truth", ignore_index=255)) == {"road": 1.0}
    with pytest.raises(FormatError, match="is for PNGs of classes, and this is coco-panoptic"):
        evaluate(predicted, predicted, ignore_index=255)


def test_a_folder_without_such_files_is_said_with_what_was_looked_for(
    tmp_path: Path, streets: Path
) -> None:
    with pytest.raises(FormatError, match=r"\*_gtFine_labelIds\.png.*name the folder gtFine"):
        compared(streets, tmp_path / "nothing", "cityscapes")
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        compared(streets, tmp_path, "cityscapes", -1)
