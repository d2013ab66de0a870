"""From the run folder into FiftyOne and back, with a real database."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.formats.coco_panoptic import read_panoptic_png
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import (
    CAT,
    DOG,
    GRASS,
    MakeManifest,
    annotate,
    files,
    image_of,
    labels,
    open_in_fiftyone,
    png,
    segment_of,
)


def test_a_run_shows_its_segments_with_their_facts(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    assert dataset.persistent
    assert dataset.name == "frozenseg-out"
    sample = image_of(dataset, "a.png")
    assert (sample.metadata.width, sample.metadata.height) == (60, 40)
    assert sample.metadata.size_bytes == Path(sample.filepath).stat().st_size
    assert sample.metadata.mime_type == "image/png"
    cat = segment_of(sample, 2)
    assert (cat.label, cat.state, cat.source, cat.area) == ("cat", "proposed", "model:abc", 320)
    assert (cat.confidence, cat.margin, cat.second) == (0.1235, 0.1, "dog")
    assert np.allclose(cat.bounding_box, [5 / 60, 22 / 40, 20 / 60, 16 / 40])
    assert cat.mask.all()
    scheme = dataset.app_config.color_scheme
    assert {row["value"]: row["color"] for row in scheme.fields[0]["valueColors"]}[
        "cat"
    ] == "#ff0000"
    assert dataset.label_schemas["segments"]["classes"] == ["cat", "dog", "sky", "grass"]
    assert len(dataset.list_saved_views()) == 6
    assert [len(dataset.load_saved_view(name)) for name in dataset.list_saved_views()[:4]] == [
        3, 9, 3, 9,
    ]  # fmt: skip


def test_opening_again_brings_new_images_and_keeps_what_people_did(
    out: Path, tmp_path: Path, make_manifest: MakeManifest
) -> None:
    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    segment_of(sample, 2).label = "dog"
    sample.save()
    Image.new("RGB", (60, 40)).save(tmp_path / "photos" / "d.png")
    annotate(tmp_path, make_manifest("better"), labels(shift=2))
    opened = open_in_fiftyone(out)
    assert (opened.added, opened.renewed, opened.kept) == (1, 2, 1)
    sample = image_of(opened.dataset, "a.png")
    assert segment_of(sample, 2).label == "dog"
    assert np.isclose(segment_of(sample, 2).bounding_box[0], 5 / 60)
    assert np.isclose(segment_of(image_of(opened.dataset, "b.png"), 2).bounding_box[0], 7 / 60)


def test_corrections_come_back_and_a_second_save_changes_nothing(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    sample = image_of(dataset, "a.png")
    segment_of(sample, 2).label = "grass"
    segment_of(sample, 3).tags = ["rejected"]
    sample.save()
    sample = image_of(dataset, "b.png")
    sample.tags = ["accepted", "holiday"]
    sample.save()
    report = save_review(out)
    assert {image.image: image.state for image in report.images} == {
        "a.png": "in review",
        "b.png": "reviewed",
    }
    assert report.untouched == 1
    expected = labels().ids
    expected[expected == 3] = 0
    assert np.array_equal(png(out, "a.png"), expected)
    assert np.array_equal(png(out, "b.png"), labels().ids)
    found = {
        row.file_name: row
        for row in read_coco_panoptic(out / "panoptic.json", trust_states=True).annotations
    }
    grass = {s.id: s for s in found["a.png"].segments}[2]
    assert (grass.category_id, grass.is_thing, grass.source) == (GRASS, False, "human")
    accepted = found["b.png"].segments[1]
    assert (accepted.state, accepted.score) == ("accepted", 0.123456789)
    assert np.array_equal(read_panoptic_png(out / "proposed" / "a.png"), labels().ids)
    sample = image_of(dataset, "b.png")
    sample.reload()
    assert sample.tags == ["holiday"]
    before = files(out)
    assert save_review(out).images == ()
    assert files(out) == before


def test_a_later_update_replaces_only_proposals(
    out: Path, tmp_path: Path, make_manifest: MakeManifest
) -> None:
    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    segment_of(sample, 2).label = "dog"
    segment_of(sample, 3).tags = ["rejected"]
    sample.save()
    save_review(out)
    annotate(tmp_path, make_manifest("better"), labels(shift=2, classes=(GRASS, CAT, DOG)))
    with RunFolder.read(out) as run:
        found = {s.id: (s.category_id, s.state) for s in run.read_map("a.png").segments}
        assert found == {2: (DOG, "edited"), 1: (GRASS, "proposed")}
        assert np.array_equal(run.read_map("a.png").ids == 2, labels().ids == 2)


def test_corrections_of_labels_that_a_later_run_replaced_are_kept_beside_the_new_ones(
    out: Path, tmp_path: Path, make_manifest: MakeManifest
) -> None:
    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    segment_of(sample, 2).label = "dog"
    sample.segments.detections = [d for d in sample.segments.detections if d.segment_id != 3]
    sample.save()
    annotate(tmp_path, make_manifest("better"), labels(classes=(GRASS, CAT, DOG)))
    [report] = save_review(out).images
    assert report.problem is None
    with RunFolder.read(out) as run:
        current = run.read_map("a.png")
        found = {s.id: (s.category_id, s.state) for s in current.segments}
        [entry] = [entry for entry in run.entries() if entry.image == "a.png"]
    assert found == {2: (DOG, "edited"), 1: (GRASS, "proposed")}
    assert np.array_equal(current.ids == 2, labels().ids == 2)
    assert entry.labels is not None
    assert [memory.category for memory in entry.labels.rejected] == ["dog"]
    before = files(out)
    assert save_review(out).images == ()
    assert files(out) == before


def test_a_save_that_was_interrupted_is_finished_by_the_next_one(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frozenseg_label.review.app import save_corrections as corrections

    dataset = open_in_fiftyone(out).dataset
    for name in ("a.png", "b.png"):
        sample = image_of(dataset, name)
        segment_of(sample, 2).label = "dog"
        segment_of(sample, 3).tags = ["rejected"]
        sample.save()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # all images are in the run folder, FiftyOne knows nothing
        patch.setattr(corrections, "_show", killed)
        with pytest.raises(KeyboardInterrupt):
            save_review(out)
    before = files(out)
    assert len(save_review(out).images) == 2
    assert files(out) == before
    assert save_review(out).images == ()


def test_a_class_outside_the_vocabulary_stops_only_its_image(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    for name, label in (("a.png", "awning"), ("b.png", "dog")):
        sample = image_of(dataset, name)
        segment_of(sample, 2).label = label
        sample.save()
    reports = {image.image: image for image in save_review(out).images}
    assert "awning" in (reports["a.png"].problem or "")
    assert reports["b.png"].problem is None
    assert segment_of(image_of(dataset, "a.png"), 2).label == "awning"  # still there to be mended


def test_a_run_folder_that_moved_finds_its_dataset_and_a_copy_does_not(
    out: Path, tmp_path: Path
) -> None:
    name = open_in_fiftyone(out).dataset.name
    moved = out.rename(tmp_path / "elsewhere")
    assert open_in_fiftyone(moved).dataset.name == name
    shutil.copytree(moved, out)
    assert open_in_fiftyone(out).dataset.name != name


def test_a_new_segment_never_gets_the_id_of_one_that_is_gone(out: Path) -> None:
    import fiftyone as fo

    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    segment_of(sample, 3).tags = ["rejected"]
    sample.save()
    save_review(out)
    sample.reload()
    new = fo.Detection(label="dog", bounding_box=[0, 0, 0.1, 0.1], mask=np.ones((4, 6), bool))
    sample.segments.detections.append(new)
    sample.save()
    [report] = save_review(out).images
    assert [(change.kind, change.segment) for change in report.changes] == [("added", 4)]
    assert set(np.unique(png(out, "a.png"))) == {0, 1, 2, 4}


def test_a_segment_whose_mask_was_removed_is_rejected_and_a_drawn_box_stays(out: Path) -> None:
    import fiftyone as fo

    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    segment_of(sample, 3).mask = None
    sample.segments.detections.append(fo.Detection(label="dog", bounding_box=[0, 0, 0.1, 0.1]))
    sample.save()
    [report] = save_review(out).images
    assert [(change.kind, change.segment) for change in report.changes] == [("removed", 3)]
    sample.reload()
    assert [one.label for one in sample.segments.detections if one.mask is None] == ["dog"]
    assert save_review(out).images == ()


def test_segments_that_stay_where_they_are_keep_their_ids_in_fiftyone(out: Path) -> None:
    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    before = {one.segment_id: one.id for one in sample.segments.detections}
    segment_of(sample, 2).label = "dog"
    segment_of(sample, 3).tags = ["rejected"]
    sample.save()
    save_review(out)
    sample.reload()
    del before[3]
    assert {one.segment_id: one.id for one in sample.segments.detections} == before


def test_the_views_have_the_order_of_the_csv(
    out: Path, tmp_path: Path, make_manifest: MakeManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frozenseg_label.review.app import views
    from frozenseg_label.review.review_run import queue_csv

    monkeypatch.setattr(views, "RANKED_AT_ONCE", 2)
    sample = image_of(open_in_fiftyone(out).dataset, "b.png")
    segment_of(sample, 2).label = "dog"
    sample.save()
    save_review(out)
    annotate(tmp_path, make_manifest("better"), labels(shift=3))
    dataset = open_in_fiftyone(out).dataset
    sample = image_of(dataset, "c.png")
    sample.tags = ["accepted"]
    sample.save()
    save_review(out)
    queue_csv(out, tmp_path / "queue.csv")
    with (tmp_path / "queue.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    proposed = [row for row in rows if row["state"] == "proposed"]

    def segments(view: str, sort: Callable[[dict[str, str]], object]) -> None:
        found = dataset.load_saved_view(view)
        names = [Path(path).name for path in found.values("filepath")]
        shown = list(zip(names, found.values("segments.segment_id"), strict=True))
        wanted = sorted(proposed, key=sort)  # type: ignore[arg-type, type-var]
        assert shown == [(row["image"], int(row["segment"])) for row in wanted]

    images = list(dict.fromkeys(row["image"] for row in rows))
    assert images[-1] == "c.png"  # is reviewed
    assert dataset.load_saved_view(views.MOST_DOUBTFUL).values("image") == images[:-1]
    segments(
        views.DOUBTFUL_SEGMENTS,
        lambda row: (-float(row["gain"]), row["image"], int(row["segment"])),
    )
    segments(
        views.PER_CLASS,
        lambda row: (row["class"], float(row["score"]), row["image"], int(row["segment"])),
    )
    changed = dataset.load_saved_view(views.CHANGED)
    assert changed.values("image") == ["a.png", "c.png"]
    assert changed.values("segments.detections.segment_id") == [[2], [2]]
    settled = dataset.load_saved_view(views.ACCEPTED_VIEW)
    assert settled.values("image") == ["b.png", "c.png"]
