"""Labels leave for other tools: what was asked for, told before, and written once."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from frozenseg_label.errors import FormatError, ImageError, RunError
from frozenseg_label.evaluation.evaluate_labels import evaluate
from frozenseg_label.evaluation.evaluation_report import EvaluationReport
from frozenseg_label.exchange.export_folder import ExportFolder
from frozenseg_label.exchange.export_labels import ExportForm, export_labels
from frozenseg_label.images import ImageRecord, find_images
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.run_reader import RunReader

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

CAT, DOG, SKY = 1, 2, 3
# A cat with a hole, a dog in two parts, and sky.
ROWS = [
    [1, 1, 1, 3, 2],
    [1, 0, 1, 3, 3],
    [1, 1, 1, 3, 2],
]


@pytest.fixture
def out(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """A run of two images with the same labels, the second of them reviewed."""
    path = tmp_path / "out"
    with RunFolder.open_or_create(path, make_manifest()) as run:
        for record in run.plan([make_image("a/1.jpg"), make_image("b/2.jpg", b"other")]).todo:
            run.commit(record, proposal(make_map))
        run.finish()
    said = {1: (CAT, "accepted"), 2: (DOG, "edited"), 3: (SKY, "accepted")}
    correct(path, "b/2.jpg", make_map(ROWS, said))
    return path


def proposal(make_map: MakeMap) -> PanopticMap:
    return make_map(ROWS, {1: (CAT, "proposed"), 2: (DOG, "proposed"), 3: (SKY, "proposed")})


def correct(out: Path, image: str, panoptic_map: PanopticMap) -> None:
    with RunFolder.open_to_correct(out) as run:
        entry = run.entry(image)
        assert entry is not None
        run.correct(run.record(entry), panoptic_map, state="reviewed")
        run.finish()


def files_in(folder: Path) -> set[str]:
    """Return all files but our own two."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return {path.as_posix() for path in paths if not path.name.startswith(".frozenseg-")}


def inodes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_ino for name in files_in(folder)}


def test_coco_instances_have_the_things_and_stuff_where_it_is_asked_for(
    out: Path, tmp_path: Path
) -> None:
    summary = export_labels(out, tmp_path / "things", "coco-instances")
    read = COCO(str(tmp_path / "things" / "instances.json"))
    masks = {row["category_id"]: read.annToMask(row) for row in read.imgToAnns[1]}
    ids = np.array(ROWS)
    assert masks.keys() == {CAT, DOG}
    assert np.array_equal(masks[CAT], ids == 1)  # its hole, too
    assert np.array_equal(masks[DOG], ids == 2)
    assert [image["file_name"] for image in read.imgs.values()] == ["a/1.jpg", "b/2.jpg"]
    assert summary.lost["stuff"] == 2
    assert summary.segments == 4
    summary = export_labels(out, tmp_path / "all", "coco-instances", stuff=True)
    read = COCO(str(tmp_path / "all" / "instances.json"))
    assert {row["id"]: row["isthing"] for row in read.cats.values()} == {CAT: 1, DOG: 1, SKY: 0}
    assert [row["category_id"] for row in read.imgToAnns[2]] == [CAT, DOG, SKY]
    assert "stuff" not in summary.lost


def test_coco_panoptic_has_the_published_fields_only_and_pngs_named_like_the_pictures(
    out: Path, tmp_path: Path
) -> None:
    export_labels(out, tmp_path / "coco", "coco-panoptic")
    document = json.loads((tmp_path / "coco" / "panoptic.json").read_text())
    annotation = document["annotations"][0]
    assert annotation.keys() == {"image_id", "file_name", "segments_info"}
    fields = {"id", "category_id", "area", "bbox", "iscrowd"}
    assert annotation["segments_info"][0].keys() == fields
    assert annotation["file_name"] == "a/1.png"
    report = evaluate(tmp_path / "coco", out)
    assert isinstance(report, EvaluationReport)
    assert report.groups["all"].pq == 1.0


def test_what_a_format_cannot_hold_is_told_and_strict_writes_nothing(
    out: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(FormatError, match="2 segments with holes"):
        export_labels(out, tmp_path / "yolo", "yolo-seg", strict=True)
    assert not (tmp_path / "yolo").exists()
    caplog.set_level(logging.INFO)
    summary = export_labels(out, tmp_path / "yolo", "yolo-seg")
    assert summary.lost == {"stuff": 2, "holes": 2, "parts": 2, "scores": 3, "states": 2}
    assert "yolo-seg cannot hold: 2 segments of stuff (left out), 2 segments with" in caplog.text
    lines = (tmp_path / "yolo" / "labels" / "a" / "1.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1"]


def test_a_second_export_writes_what_has_changed(
    out: Path, tmp_path: Path, make_map: MakeMap
) -> None:
    folder = tmp_path / "yolo"
    export_labels(out, folder, "yolo-seg")
    before = inodes(folder)
    assert export_labels(out, folder, "yolo-seg").unchanged == 2
    with (folder / "labels" / "b" / "2.txt").open():  # so that its inode is not given again
        (folder / "labels" / "b" / "2.txt").unlink()  # a person's slip
        correct(out, "a/1.jpg", make_map([[1] * 5] * 3, {1: (DOG, "edited")}))
        assert export_labels(out, folder, "yolo-seg").unchanged == 0
        after = inodes(folder)
    changed = {name for name in before if before[name] != after[name]}
    shared = {"train.txt", "data.yaml"}
    assert changed - shared == {"labels/a/1.txt", "labels/b/2.txt"}  # the pictures were not copied
    assert (folder / "labels" / "a" / "1.txt").read_text().startswith("1 ")


def test_files_that_nobody_wants_any_more_are_removed(out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "png"
    export_labels(out, folder, "class-png")
    (folder / "notes.txt").write_text("a person's own")
    summary = export_labels(out, folder, "class-png", only="reviewed")
    assert (summary.images, summary.left_out, summary.removed) == (1, 1, 1)
    assert files_in(folder) == {"class-png/b/2.png", "classes.json", "notes.txt"}


def test_a_killed_export_is_taken_up(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "png"
    read_map = RunReader.read_map

    def stop_at_the_second(run: RunReader, image: str) -> PanopticMap:
        if image == "b/2.jpg":
            raise KeyboardInterrupt
        return read_map(run, image)

    monkeypatch.setattr(RunReader, "read_map", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        export_labels(out, folder, "class-png")
    monkeypatch.undo()
    with (folder / ".frozenseg-export.jsonl").open("ab") as record:
        record.write(b'{"image": "b/2.j')  # torn
    assert export_labels(out, folder, "class-png").unchanged == 1
    assert files_in(folder) == {"class-png/a/1.png", "class-png/b/2.png", "classes.json"}


def test_other_peoples_folders_and_exports_in_another_format_are_left_alone(
    out: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(RunError, match="not empty"):
        export_labels(out, tmp_path / "mine", "coco-instances")
    with pytest.raises(RunError, match="not empty"):
        export_labels(out, out, "coco-panoptic")
    export_labels(out, tmp_path / "coco", "coco-instances")
    with pytest.raises(RunError, match="holds an export to coco-instances"):
        export_labels(out, tmp_path / "coco", "class-png")


def test_two_exports_at_once_into_one_folder_are_refused(out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "png"
    with ExportFolder.open(folder, "class-png"):
        with pytest.raises(RunError, match=r"png is in use by process \d+; wait until it is done"):
            export_labels(out, folder, "class-png")
        assert not (folder / "class-png").exists()
    assert export_labels(out, folder, "class-png").images == 2


def test_an_export_is_never_labelled(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "photos" / "export", "class-png", pictures="copy")
    found = find_images([tmp_path / "photos"])
    assert [record.relative for record in found] == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.parametrize("form", ["coco-instances", "yolo-seg"])
def test_only_what_a_person_accepted_or_what_has_a_score_goes(
    out: Path, tmp_path: Path, form: ExportForm
) -> None:
    accepted = export_labels(out, tmp_path / "accepted", form, only="accepted")
    assert (accepted.images, accepted.segments) == (1, 2)
    sure = export_labels(out, tmp_path / "sure", form, min_score=0.6)
    assert (sure.images, sure.segments) == (2, 1)  # the dog that a person drew has no score


def test_pictures_are_copied_linked_or_left_out(out: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "a" / "1.jpg"
    for mode, links in (("copy", 1), ("link", 2)):
        export_labels(out, tmp_path / mode, "yolo-seg", pictures=mode)  # type: ignore[arg-type]
        there = tmp_path / mode / "images" / "a" / "1.jpg"
        assert there.read_bytes() == photo.read_bytes()
        assert photo.stat().st_nlink == links
    export_labels(out, tmp_path / "none", "yolo-seg", pictures="none")
    assert not (tmp_path / "none" / "images").exists()


def test_a_missing_picture_is_told_before_anything_is_written(out: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "a" / "1.jpg").unlink()
    with pytest.raises(ImageError, match=r"1 pictures are not found, the first is a/1\.jpg"):
        export_labels(out, tmp_path / "yolo", "yolo-seg")
    assert not (tmp_path / "yolo").exists()


def test_pictures_of_one_stem_have_labels_of_their_own(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    records = [make_image("1.jpg"), make_image("1.png", b"another")]
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        for record in run.plan(records).todo:
            run.commit(record, proposal(make_map))
        run.finish()
    export_labels(tmp_path / "out", tmp_path / "yolo", "yolo-seg")
    names = {"images/1.jpg", "images/1.png.png", "labels/1.txt", "labels/1.png.txt"}
    assert names < files_in(tmp_path / "yolo")


def test_grey_class_pngs_have_no_palette(out: Path, tmp_path: Path) -> None:
    for grey, mode in ((True, "L"), (False, "P")):
        folder = tmp_path / mode
        export_labels(out, folder, "class-png", grey=grey)
        with Image.open(folder / "class-png" / "a" / "1.png") as png:
            assert png.mode == mode
            assert np.array_equal(np.asarray(png), np.array(ROWS) * [[1]])
    with pytest.raises(FormatError, match="grey"):
        export_labels(out, tmp_path / "yolo", "yolo-seg", grey=True)


def test_each_class_has_a_folder_of_masks(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "png", "per-class-png")
    with Image.open(tmp_path / "png" / "per-class-png" / "cat" / "a" / "1.png") as png:
        assert np.array_equal(np.asarray(png) == 255, np.array(ROWS) == 1)


def test_a_split_has_a_document_a_part(out: Path, tmp_path: Path) -> None:
    summary = export_labels(out, tmp_path / "coco", "coco-panoptic", split="50/50")
    documents = {f"panoptic_{part}.json" for part in summary.parts}
    assert sum(summary.parts.values()) == 2
    assert documents < files_in(tmp_path / "coco")
    for part in summary.parts:
        report = evaluate(tmp_path / "coco" / f"panoptic_{part}.json", out)
        assert isinstance(report, EvaluationReport)
        assert report.groups["all"].pq == 1.0


@pytest.mark.parametrize("form", [form for form in get_args(ExportForm) if form != "fiftyone"])
def test_every_format_can_be_split_and_written_twice(
    form: ExportForm, out: Path, tmp_path: Path
) -> None:
    folder = tmp_path / form
    first = export_labels(out, folder, form, split="50/50", pictures="copy")
    before = {name: (folder / name).read_bytes() for name in files_in(folder)}
    pictures = sum(name.endswith("1.jpg") for name in before)
    assert pictures == (0 if form == "hf" else 1)  # hf has them in its own files
    second = export_labels(out, folder, form, split="50/50", pictures="copy")
    assert before == {name: (folder / name).read_bytes() for name in files_in(folder)}
    assert (second.unchanged, second.removed) == (2, 0)
    assert first.segments == second.segments > 0


def test_an_export_without_images_is_an_error(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        for record in run.plan([make_image("1.jpg")]).todo:
            run.commit(record, proposal(make_map))
        run.finish()
    with pytest.raises(FormatError, match="0 images to export"):
        export_labels(tmp_path / "out", tmp_path / "coco", "coco-instances", only="reviewed")
    assert not (tmp_path / "coco").exists()


@pytest.mark.parametrize("name", ["labels", ".frozenseg-export.jsonl", ".frozenseg-label"])
def test_an_export_writes_and_removes_nothing_through_a_link(
    out: Path, tmp_path: Path, name: str
) -> None:
    folder, victim = tmp_path / "export", tmp_path / "victim"
    export_labels(out, folder, "yolo-seg", pictures="none")
    (folder / name).rename(victim)
    (folder / name).symlink_to(victim)
    files = [victim] if victim.is_file() else [p for p in victim.rglob("*") if p.is_file()]
    before = {path: path.read_bytes() for path in files}
    assert before
    if name == ".frozenseg-label":  # it is there: nothing has to be written
        export_labels(out, folder, "yolo-seg", pictures="none", only="reviewed")
    else:
        with pytest.raises(RunError, match="is a symbolic link"):
            export_labels(out, folder, "yolo-seg", pictures="none", only="reviewed")
    assert {path: path.read_bytes() for path in before} == before
