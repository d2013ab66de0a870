"""A round trip through each format: nothing changes by itself, and two corrections are just two."""

import base64
import io
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as run_lengths

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.evaluate_labels import evaluate
from frozenseg_label.exchange.export_labels import export_labels
from frozenseg_label.exchange.import_labels import ImportForm, ImportSummary, OnTop, import_labels
from frozenseg_label.formats.label_studio import brush_bytes, brush_mask
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

CAT, DOG, SKY = 1, 2, 3
SIZE = 30, 40
FORMS: tuple[ImportForm, ...] = (
    "coco-instances",
    "cvat",
    "label-studio",
    "labelme",
    "voc",
    "class-png",
    "yolo-seg",
)
WITHOUT_STUFF = {"coco-instances", "yolo-seg"}
EDITOR = Path(__file__).parents[1] / "foreign" / "edit_labels.py"
WRITTEN_ELSEWHERE: dict[ImportForm, str] = {  # where a library of other people puts the labels
    "coco-instances": ".",
    "coco-panoptic": "annotations/panoptic_default.json",
    "cvat": ".",
    "label-studio": ".",
    "voc": ".",
}


def rows() -> NDArray[np.int32]:
    """A cat with a hole in which a second dog lies, a dog in two parts, a small cat, and sky."""
    ids = np.full(SIZE, 4, dtype=np.int32)
    ids[2:20, 2:18] = 1
    ids[6:12, 6:12] = 5
    ids[3:10, 22:30] = 2
    ids[14:20, 22:30] = 2
    ids[22:28, 4:12] = 3
    ids[28:, :] = 0
    return ids


@pytest.fixture
def out(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """A run of two images with the same proposals."""
    path = tmp_path / "out"
    classes = {1: CAT, 2: DOG, 3: CAT, 4: SKY, 5: DOG}
    proposal = make_map(rows().tolist(), {id_: (c, "proposed") for id_, c in classes.items()})
    picture = io.BytesIO()
    Image.new("RGB", (SIZE[1], SIZE[0])).save(picture, "PNG")
    records = [make_image(name, picture.getvalue()) for name in ("a/1.png", "b/2.png")]
    with RunFolder.open_or_create(path, make_manifest()) as run:
        for record in run.plan(records).todo:
            run.commit(record, proposal)
        run.finish()
    return path


@pytest.fixture
def exported(out: Path, tmp_path: Path, form: ImportForm) -> Path:
    """The run in a format, as a person gets it."""
    export_labels(out, tmp_path / form, form)
    return tmp_path / form


def counts(summary: ImportSummary) -> dict[str, int]:
    names = ("accepted", "changed_class", "reshaped", "added", "removed", "kept", "overlapped")
    return {name: getattr(summary, name) for name in names if getattr(summary, name)}


def map_of(out: Path, image: str) -> PanopticMap:
    with RunFolder.read(out) as run:
        return run.read_map(image)


# Each of these makes the small cat of a/1.png a dog, and moves the first dog's lower end.


def edit_coco(folder: Path) -> None:
    path = folder / "instances.json"
    document = json.loads(path.read_text())
    dog, cat = (
        row
        for row in document["annotations"]
        if row["image_id"] == 1 and row["area"] in (8 * 7 + 8 * 6, 48)
    )
    cat["category_id"] = DOG
    mask = run_lengths.decode(dog["segmentation"])
    mask[19] = 0
    counted = run_lengths.encode(np.asfortranarray(mask))
    dog["segmentation"]["counts"] = counted["counts"].decode()
    path.write_text(json.dumps(document))


def edit_cvat(folder: Path) -> None:
    path = folder / "annotations.xml"
    text = path.read_text()
    first, end, rest = text.partition("</image>")
    first = re.sub('label="cat"(?=[^>]*left="4" top="22")', 'label="dog"', first)
    runs = re.search('rle="([^"]*)" left="22" top="3"', first)
    assert runs is not None
    shorter = runs[1].split(", ")
    shorter[-1] = str(int(shorter[-1]) - 8)
    first = first.replace(runs[1], ", ".join([*shorter, "8"]))
    path.write_text(first + end + rest)


def edit_label_studio(folder: Path) -> None:
    path = folder / "tasks.json"
    tasks = json.loads(path.read_text())
    for result in tasks[0]["predictions"][0]["result"]:
        mask = brush_mask(result["value"]["rle"], SIZE, "here")
        if mask[22, 4]:
            result["value"]["brushlabels"] = ["dog"]
        if mask[3, 22]:
            mask[19] = False
            result["value"]["rle"] = brush_bytes(mask)
    for task in tasks:  # a person submits both
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
    path.write_text(json.dumps(tasks))


def edit_yolo(folder: Path) -> None:
    path = folder / "labels" / "a" / "1.txt"
    lines = []
    for line in path.read_text().splitlines():
        number, *words = line.split()
        points = np.array(words, dtype=float).reshape(-1, 2) * SIZE[::-1]
        if points.astype(int).min(axis=0).tolist() == [4, 22]:
            number = "1"
        if number == "1" and points[:, 0].min() > 20:
            points[points[:, 1] > 19, 1] -= 1
        lines.append(f"{number} {' '.join(map(str, (points / SIZE[::-1]).ravel()))}\n")
    path.write_text("".join(lines))


def edit_labelme(folder: Path) -> None:
    path = folder / "a" / "1.json"
    document = json.loads(path.read_text())
    cat = next(shape for shape in document["shapes"] if shape["points"][0] == [4, 22])
    cat["label"] = "dog"
    dog = next(shape for shape in document["shapes"] if shape["points"][0] == [22, 3])
    mask = np.array(Image.open(io.BytesIO(base64.b64decode(dog["mask"]))))
    mask[-1] = 0
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    dog["mask"] = base64.b64encode(file.getvalue()).decode()
    path.write_text(json.dumps(document))


def edit_png(path: Path, change: Callable[[NDArray[np.uint8]], None]) -> None:
    with Image.open(path) as image:
        pixels, palette = np.array(image), image.getpalette()
    change(pixels)
    edited = Image.fromarray(pixels).convert("P")
    edited.putpalette(palette or [])
    edited.save(path)


def edit_voc(folder: Path) -> None:
    def change(pixels: NDArray[np.uint8]) -> None:
        pixels[22:28, 4:12] = DOG
        pixels[19, 22:30] = 0

    def cut(pixels: NDArray[np.uint8]) -> None:
        pixels[19, 22:30] = 0

    edit_png(folder / "SegmentationClass" / "a" / "1.png", change)
    edit_png(folder / "SegmentationObject" / "a" / "1.png", cut)


def edit_class_png(folder: Path) -> None:
    def change(pixels: NDArray[np.uint8]) -> None:
        pixels[22:28, 4:12] = DOG
        pixels[19, 22:30] = 0

    edit_png(folder / "class-png" / "a" / "1.png", change)


EDITS: dict[ImportForm, Callable[[Path], Any]] = {
    "coco-instances": edit_coco,
    "cvat": edit_cvat,
    "label-studio": edit_label_studio,
    "labelme": edit_labelme,
    "voc": edit_voc,
    "class-png": edit_class_png,
    "yolo-seg": edit_yolo,
}


@pytest.mark.parametrize("form", FORMS)
def test_what_nobody_changed_is_accepted_as_it_was(
    form: ImportForm, out: Path, exported: Path
) -> None:
    summary = import_labels(out, exported, form=form)
    kept = 2 if form in WITHOUT_STUFF else 0
    assert counts(summary) == {"accepted": 10 - kept} | ({"kept": kept} if kept else {})
    for image in ("a/1.png", "b/2.png"):
        found = map_of(out, image)
        assert np.array_equal(found.ids, rows())
        states = {s.state for s in found.segments if s.category_id != SKY or not kept}
        assert states == {"accepted"}
        assert {s.source for s in found.segments} == {"model:abc"}
        if kept:
            assert {s.state for s in found.segments if s.category_id == SKY} == {"proposed"}
    assert import_labels(out, exported, form=form).images == 0


@pytest.mark.parametrize("form", FORMS)
def test_two_corrections_are_two(form: ImportForm, out: Path, exported: Path) -> None:
    EDITS[form](exported)
    two_corrections_are_found(out, exported, form)


@pytest.mark.parametrize(("form", "name"), WRITTEN_ELSEWHERE.items())
def test_two_corrections_by_a_library_of_other_people_are_two(
    form: ImportForm, name: str, out: Path, foreign_python: Path, tmp_path: Path
) -> None:
    edited = tmp_path / "edited"
    export_labels(out, tmp_path / form, form, pictures="copy")  # without them, datumaro reads none
    command = [foreign_python, EDITOR, form, tmp_path / form, edited]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    two_corrections_are_found(out, edited / name, form)


def two_corrections_are_found(out: Path, edited: Path, form: ImportForm) -> None:
    """Import, and look at what the import says, at the pixels, and at what evaluate says."""
    found = counts(import_labels(out, edited, form=form))
    kept = found.pop("kept", 0)
    assert found == {"accepted": 8 - kept, "changed_class": 1, "reshaped": 1}
    assert np.array_equal(map_of(out, "b/2.png").ids, rows())
    segments = {s.id: s for s in map_of(out, "a/1.png").segments}
    assert {id_ for id_, s in segments.items() if s.source == "imported"} == {2, 3}
    assert segments[3].category_id == DOG
    assert segments[2].area == 8 * 7 + 8 * 5
    outcomes = evaluate(out, reviewed=True).total
    assert (outcomes.wrong_class, outcomes.moved) == (1, 1)
    assert (outcomes.missed, outcomes.spurious, outcomes.right) == (0, 0, 8 - kept)
    assert import_labels(out, edited, form=form).images == 0


@pytest.mark.parametrize("form", ["label-studio"])
def test_tasks_that_nobody_has_opened_are_passed_over(
    form: ImportForm, out: Path, exported: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = exported / "tasks.json"
    tasks = json.loads(path.read_text())
    tasks[0]["annotations"] = tasks[0]["predictions"]
    path.write_text(json.dumps(tasks))
    with caplog.at_level("INFO", "frozenseg_label"):
        assert import_labels(out, exported, form=form).images == 1
    assert "1 images have predictions only" in caplog.text
    assert {s.state for s in map_of(out, "b/2.png").segments} == {"proposed"}


@pytest.mark.parametrize("form", ["coco-instances"])
def test_stuff_that_instances_cannot_tell_waits_for_a_person(
    form: ImportForm, out: Path, exported: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "frozenseg_label"):
        import_labels(out, exported, form=form)
    assert "2 segments of the run were left out by the export, or are of classes" in caplog.text
    with RunFolder.read(out) as run:
        states = {entry.labels.state for entry in run.entries() if entry.labels is not None}
    assert states == {"in review"}


@pytest.mark.parametrize("form", ["coco-instances"])
@pytest.mark.parametrize(("on_top", "renamed"), [("last", 0), ("small", 0), ("first", 1)])
def test_what_lies_on_top_is_chosen_and_told(
    form: ImportForm,
    out: Path,
    exported: Path,
    on_top: OnTop,
    renamed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = exported / "instances.json"
    document = json.loads(path.read_text())
    square = {"image_id": 1, "category_id": DOG, "segmentation": [[3, 21, 13, 21, 13, 29, 3, 29]]}
    document["annotations"].insert(0, square)  # around the small cat
    path.write_text(json.dumps(document))
    with caplog.at_level("INFO", "frozenseg_label"):
        summary = import_labels(out, exported, form=form, on_top=on_top)
    assert (summary.overlapped, summary.overlapped_pixels) == (1, 48)
    assert (summary.changed_class, summary.added) == (renamed, 1 - renamed)  # the cat is hidden
    assert "48 pixels are in several shapes" in caplog.text
    assert import_labels(out, exported, form=form, on_top=on_top).images == 0


@pytest.mark.parametrize("form", ["coco-instances"])
def test_a_shape_of_another_size_and_an_unknown_class_are_told(
    form: ImportForm, out: Path, exported: Path
) -> None:
    path = exported / "instances.json"
    document = json.loads(path.read_text())
    document["images"][1] |= {"width": 7}
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] == 1]
    document["categories"][0]["name"] = "zebra"
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=r"(?s)'zebra' is not in the run's.*b/2.png: is 7 x 30"):
        import_labels(out, exported, form=form)


def test_holes_that_a_polygon_filled_are_open_after_a_correction(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "yolo", "yolo-seg")
    path = tmp_path / "yolo" / "labels" / "a" / "1.txt"
    lines = path.read_text().splitlines()
    (large,) = (n for n, line in enumerate(lines) if line.startswith("0 ") and " 0.05" in line)
    number, *words = lines[large].split()
    points = np.array(words, dtype=float).reshape(-1, 2)
    points[points[:, 1] > 0.6, 1] -= 1 / SIZE[0]  # its lower end is a pixel higher
    lines[large] = f"{number} {' '.join(map(str, points.ravel()))}"
    path.write_text("\n".join(lines))
    summary = import_labels(out, tmp_path / "yolo", form="yolo-seg")
    assert counts(summary) == {"accepted": 7, "reshaped": 1, "kept": 2}
    expected = rows()
    expected[19, 2:18] = 0
    assert np.array_equal(map_of(out, "a/1.png").ids, expected)


@pytest.mark.parametrize("form", ["labelme", "voc", "class-png", "yolo-seg"])
def test_the_folders_of_a_split_export_are_no_part_of_the_names(
    form: ImportForm, out: Path, tmp_path: Path, make_image: MakeImage, make_manifest: MakeManifest
) -> None:
    first = make_image("c/1.png", (tmp_path / "photos" / "b" / "2.png").read_bytes() + b" ")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(first, run.read_map("a/1.png"))
        run.finish()
    parts = export_labels(out, tmp_path / "split", form, split="50/50").parts
    assert len(parts) == 2
    summary = import_labels(out, tmp_path / "split", form=form)
    assert (summary.images, summary.unknown) == (3, 0)
