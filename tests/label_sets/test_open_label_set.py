"""What a path names is seen from what is there; where that is not clear, it is said."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.evaluate_labels import evaluate
from frozenseg_label.exchange.export_labels import ExportForm, export_labels
from frozenseg_label.label_sets.open_label_set import form_of, open_label_set
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from tests.runs.conftest import make_image, make_manifest, make_map, vocabulary

__all__ = ["make_image", "make_manifest", "make_map", "vocabulary"]

ROWS = [[1, 1, 3, 3, 2, 2], [1, 1, 3, 3, 2, 2], [1, 1, 3, 3, 3, 3]]


@pytest.fixture
def out(
    tmp_path: Path,
    make_manifest: Callable[..., Manifest],
    make_image: Callable[..., object],
    make_map: Callable[..., PanopticMap],
) -> Path:
    """A run of one image with a cat, a dog and sky."""
    proposal = make_map(ROWS, {1: (1, "proposed"), 2: (2, "proposed"), 3: (3, "proposed")})
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.commit(make_image("a/1.jpg"), proposal)  # type: ignore[arg-type]
        run.finish()
    return tmp_path / "out"


FORMS: dict[ExportForm, str] = {
    "coco-panoptic": "panoptic.json",
    "coco-instances": "instances.json",
    "cvat": "annotations.xml",
    "label-studio": "tasks.json",
    "labelme": ".",
    "voc": ".",
    "class-png": "class-png",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised_and_read(form: ExportForm, out: Path, tmp_path: Path) -> None:
    folder = tmp_path / form
    export_labels(out, folder, form, pictures="none", stuff=form == "coco-instances")
    for path in (folder, folder / FORMS[form]):
        assert form_of(path)[0] == form
        with open_label_set(path) as labels:
            [name] = labels.images
            found = labels.read_map(name)
        assert np.array_equal(found.ids > 0, np.array(ROWS) > 0)
        assert len(found.segments) == 3
    report = evaluate(out, folder)
    assert report.groups["all"].miou == 1.0  # type: ignore[union-attr]


def test_a_yolo_set_is_recognised_by_its_data_file(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "yolo", "yolo-seg", pictures="none", stuff=True)
    for path in (tmp_path / "yolo", tmp_path / "yolo" / "data.yaml"):
        assert form_of(path) == ("yolo-seg", tmp_path / "yolo" / "data.yaml")
    with (
        open_label_set(tmp_path / "yolo") as labels,
        pytest.raises(FormatError, match=r"1\.jpg: is missing; without it nobody knows the size"),
    ):
        labels.read_map("a/1.jpg")


def test_where_several_forms_are_meant_they_are_named(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "both", "coco-instances")
    export_labels(out, tmp_path / "other", "cvat")
    (tmp_path / "other" / "annotations.xml").rename(tmp_path / "both" / "annotations.xml")
    with pytest.raises(FormatError, match=r"annotations\.xml \(cvat\).*instances\.json \(coco-in"):
        form_of(tmp_path / "both")
    assert form_of(tmp_path / "both", "cvat")[1] == tmp_path / "both" / "annotations.xml"


def test_coco_in_a_folder_for_annotations_is_found(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "set" / "annotations", "coco-instances")
    found = form_of(tmp_path / "set", "coco-instances")
    assert found == ("coco-instances", tmp_path / "set" / "annotations" / "instances.json")


def test_a_form_that_is_not_there_is_said(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "coco", "coco-instances")
    with pytest.raises(FormatError, match="there is nothing in the form voc"):
        form_of(tmp_path / "coco", "voc")


def test_two_shapes_on_one_place_are_told_and_the_rule_says_who_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    square = [[0, 0], [3, 0], [3, 3], [0, 3]]
    shapes = [
        {"label": "cat", "points": [[1, 1], [2, 1], [2, 2], [1, 2]]},
        {"label": "dog", "points": square},
    ]
    document = {"shapes": shapes, "imagePath": "1.jpg", "imageHeight": 5, "imageWidth": 6}
    (tmp_path / "1.json").write_text(json.dumps(document))
    with open_label_set(tmp_path) as labels, caplog.at_level("INFO", "frozenseg_label"):
        assert labels.images == ("1.jpg",)
        assert [segment.area for segment in labels.read_map("1.jpg").segments] == [16]
    assert "4 pixels are in several shapes: 1 shapes lost some, 1 of them all" in caplog.text
    with open_label_set(tmp_path, on_top="small") as labels:
        assert [segment.area for segment in labels.read_map("1.jpg").segments] == [4, 12]
