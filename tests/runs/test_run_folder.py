"""A run from the first plan to the finished folder."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.errors import FormatError, ImageError, RunError
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

ODD_NAMES = [
    "dog/1.jpg",
    "dog/1.png",  # differs by suffix only
    "dog/1.jpg.png",
    "a b/#1 50%.jpg",
    "ünï/日本.jpg",
    "caf\udce9.jpg",  # Latin-1 on a disk of UTF-8
    "line\nfeed.jpg",
    "/".join(["deep"] * 60) + "/x.jpg",
]

PNGS_OF_ODD_NAMES = [
    "dog/1.png",
    "dog/1.png.png",  # the other one has the stem's
    "dog/1.jpg.png",
    "a b/#1 50%.png",
    "ünï/日本.png",
    "caf\udce9.png",
    "line\nfeed.png",
    "/".join(["deep"] * 60) + "/x.png",
]


def names(records: tuple[ImageRecord, ...]) -> list[str]:
    return [record.relative for record in records]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def cat(make_map: MakeMap) -> PanopticMap:
    return make_map([[0, 4, 4], [0, 4, 9]], {4: (1, "proposed"), 9: (3, "proposed")})


def test_labelled_images_are_done_and_others_to_do(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    records = [make_image(name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.plan(records).reasons == {"new": 4}
        for record in records[:3]:
            run.commit(record, cat, seconds=0.5)
        run.fail(records[3], "half-written")
    changed = make_image("b.jpg", b"other pixels")
    (out / "panoptic" / "c.png").unlink()
    with RunFolder.open_or_create(out, make_manifest()) as run:
        plan = run.plan([records[0], changed, *records[2:], make_image("e.jpg")])
    assert names(plan.done) == ["a.jpg"]
    assert names(plan.todo) == ["b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert plan.reasons == {"changed": 1, "incomplete": 1, "failed": 1, "new": 1}


def test_other_weights_make_all_proposals_outdated(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    record = make_image("a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, cat)
    with RunFolder.open_or_create(out, make_manifest(weights="large"), update=True) as run:
        assert run.plan([record]).reasons == {"outdated": 1}
        run.commit(record, cat)
        assert names(run.plan([record]).done) == ["a.jpg"]


def sha256_of(record: ImageRecord) -> str:
    return hashlib.sha256(record.path.read_bytes()).hexdigest()


def test_an_image_is_known_by_its_content_and_times_only_save_reading_it(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    same, changed = make_image("same.jpg"), make_image("changed.jpg", b"pixels")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        for record in (same, changed):
            run.commit(record, cat, sha256=sha256_of(record))
    os.utime(same.path, ns=(1, 1))
    changed.path.write_bytes(b"PIXELS")
    os.utime(changed.path, ns=(changed.mtime_ns, changed.mtime_ns))
    touched = ImageRecord(same.path, same.relative, same.size, 1)
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert names(run.plan([touched, changed], checksum=True).todo) == ["changed.jpg"]
        assert names(run.plan([touched, changed]).todo) == []  # unzipped, copied, checked out
        longer = replace(changed, size=changed.size + 1)
        assert names(run.plan([touched, longer]).todo) == ["changed.jpg"]


def test_another_folder_with_files_of_the_same_names_and_sizes_does_not_take_over(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    frames = [make_image(f"{number}.png", b"A%d" % number, root="seqA") for number in range(3)]
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.plan(frames)
        for frame in frames:
            run.commit(frame, make_map([[1]], {1: (1, "proposed")}), sha256=sha256_of(frame))
    others = [make_image(f"{number}.png", b"B%d" % number, root="seqB") for number in range(3)]
    for frame, other in zip(frames, others, strict=True):
        os.utime(other.path, ns=(frame.mtime_ns, frame.mtime_ns))
    others = [replace(o, mtime_ns=f.mtime_ns) for f, o in zip(frames, others, strict=True)]
    with (
        RunFolder.open_or_create(out, make_manifest()) as run,
        pytest.raises(RunError, match=r"seqA, and of those in .*seqB only 0 are the same"),
    ):
        run.plan(others)
    moved = [make_image(f"{number}.png", b"A%d" % number, root="moved") for number in range(3)]
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.plan(moved).todo == ()


def test_a_changed_picture_under_corrections_is_named(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    record = make_image("a.jpg", b"before")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, make_map([[1]], {1: (1, "proposed")}), sha256=sha256_of(record))
        run.correct(record, make_map([[1]], {1: (1, "accepted")}), state="reviewed")
    changed = make_image("a.jpg", b"behind")
    changed = replace(changed, mtime_ns=record.mtime_ns + 1)
    with RunFolder.open_or_create(out, make_manifest()) as run:
        plan = run.plan([changed])
        assert names(plan.touched) == ["a.jpg"]
        fused = run.commit(changed, make_map([[2]], {2: (2, "proposed")}))
        assert [segment.state for segment in fused.segments] == ["accepted"]
        entry = run.entry("a.jpg")
    assert entry is not None
    assert entry.labels is not None
    assert entry.labels.state == "in review"


def test_moved_images_are_known_and_strangers_of_the_same_name_are_refused(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.plan([make_image("1.jpg")])
        run.commit(make_image("1.jpg"), cat)
    moved = make_image("1.jpg", root="moved")
    stranger = make_image("1.jpg", b"a quite different picture", root="holidays")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.plan([moved, make_image("2.jpg", root="moved")])
    with RunFolder.open_or_create(out, make_manifest()) as run:
        with pytest.raises(RunError, match=r"moved.*holidays.*name another folder"):
            run.plan([stranger])
        assert run.plan([]).todo == ()


def test_what_was_committed_is_read_back(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage
) -> None:
    ids = np.array([[70000, 70000], [0, 2]], dtype=np.int32)
    full = Segment(
        70000, 1, True, 2, (0, 0, 2, 1), 0.5, 0.25, 2, 0.125, "model:abc", "proposed", True
    )
    given = PanopticMap(ids, (full, Segment(2, 3, False, 1, (1, 1, 1, 1))))
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.commit(make_image("a.jpg"), given) == given
        back = run.read_map("a.jpg")
        with pytest.raises(ValueError, match=r"b\.jpg"):
            run.read_map("b.jpg")
    assert np.array_equal(back.ids, ids)
    assert back.segments == given.segments


def test_a_map_that_is_not_panoptic_is_not_written(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage
) -> None:
    with RunFolder.open_or_create(out, make_manifest()) as run:
        with pytest.raises(ValueError, match="differ"):
            run.commit(make_image("a.jpg"), PanopticMap(np.ones((2, 2), dtype=np.int32), ()))
        assert names(run.plan([make_image("a.jpg")]).todo) == ["a.jpg"]


def test_a_png_that_somebody_changed_is_told(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(make_image("a.jpg"), cat)
        path = out / "panoptic" / "a.png"
        path.write_bytes(path.read_bytes() + b"!")
        with pytest.raises(FormatError, match=r"a\.png: is not the file whose hash was recorded"):
            run.read_map("a.jpg")
        path.unlink()
        with pytest.raises(FormatError, match=r"a\.png: cannot be read"):
            run.read_map("a.jpg")


def test_the_name_of_a_png_stays_whatever_images_come_later(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    late, early = make_image("a.bmp"), make_image("A.jpg")  # on some systems, A.png is a.png
    for record in (early, late, early):
        with RunFolder.open_or_create(out, make_manifest()) as run:
            run.commit(record, cat)
    with RunFolder.open_to_correct(out) as run:
        run.correct(late, cat, state="reviewed")
        run.fail(late, "not today")
        run.finish()
    dataset = read_coco_panoptic(out / "panoptic.json")
    assert [annotation.png_name for annotation in dataset.annotations] == ["A.png", "a.bmp.png"]
    assert sorted(path.name for path in (out / "panoptic").iterdir()) == ["A.png", "a.bmp.png"]
    assert [path.name for path in (out / "proposed").iterdir()] == ["a.bmp.png"]


@pytest.mark.parametrize("reviewed", [False, True])
def test_a_label_file_that_was_cut_is_noticed(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap, reviewed: bool
) -> None:
    record = make_image("a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, cat, sha256=sha256_of(record))
        if reviewed:
            run.correct(record, cat, state="reviewed")
    png = out / "panoptic" / "a.png"
    whole = png.read_bytes()
    png.write_bytes(whole[:-20])
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.plan([record]).reasons == {"incomplete": 1}
        if reviewed:  # the work of a person cannot be made again
            with pytest.raises(ImageError, match="holds corrections of a person"):
                run.commit(record, cat)
        else:
            run.commit(record, cat)
            assert run.plan([record]).todo == ()


def test_a_label_file_of_the_same_length_is_compared_by_its_hash_where_that_is_asked_for(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    record = make_image("a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, cat, sha256=sha256_of(record))
    png = out / "panoptic" / "a.png"
    png.write_bytes(png.read_bytes()[:-1] + b"!")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.plan([record]).todo == ()
        assert run.plan([record], checksum=True).reasons == {"incomplete": 1}


def test_a_finished_folder_is_coco_panoptic(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    records = [make_image(name) for name in ODD_NAMES]
    with RunFolder.open_or_create(out, make_manifest()) as run:
        for record in run.plan(records).todo:
            run.commit(record, cat)
        summary = run.finish()
    dataset = read_coco_panoptic(out / "panoptic.json", trust_states=True)
    assert [annotation.file_name for annotation in dataset.annotations] == ODD_NAMES
    assert [annotation.png_name for annotation in dataset.annotations] == PNGS_OF_ODD_NAMES
    for annotation, panoptic_map in dataset:
        assert isinstance(annotation.image_id, int)
        assert annotation.state == "unseen"
        assert np.array_equal(panoptic_map.ids, cat.ids)
        assert panoptic_map.segments == cat.segments
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.plan(records).todo == ()
    assert summary.totals.segments == 2 * len(ODD_NAMES)
    assert summary.totals.classes["cat"].pixels == 3 * len(ODD_NAMES)
    assert list(summary.totals.classes) == ["cat", "sky"]


def test_an_image_keeps_its_number_when_others_come_and_change(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    def numbers() -> dict[str, int]:
        annotations = read_coco_panoptic(out / "panoptic.json", trust_states=True).annotations
        return {annotation.file_name: annotation.image_id for annotation in annotations}

    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.fail(make_image("m.jpg"), "torn")
        run.commit(make_image("x.jpg"), cat)
        run.finish()
    first = numbers()
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(make_image("a.jpg"), cat)
        run.commit(make_image("m.jpg"), cat)
        run.commit(make_image("x.jpg"), cat)
        run.finish()
    assert first == {"x.jpg": 2}
    assert numbers() == {"m.jpg": 1, "x.jpg": 2, "a.jpg": 3}


def test_failures_are_listed_while_they_last(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    def failures() -> list[str]:
        return [
            json.loads(line)["image"] for line in (out / "failures.jsonl").read_text().splitlines()
        ]

    bad, worse = make_image("bad.jpg"), make_image("worse.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.fail(bad, "bad.jpg: half-written")
        assert failures() == ["bad.jpg"]
        run.fail(worse, "worse.jpg: no image")
        assert run.finish().failed == 2
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.fail(worse, "worse.jpg: no image")
        run.commit(bad, cat)
        summary = run.finish()
        assert failures() == ["worse.jpg"]
        assert (summary.labelled, summary.failed, summary.totals.failed) == (1, 1, 1)
        run.commit(worse, cat)
        run.finish()
    assert not (out / "failures.jsonl").exists()


def test_a_failure_leaves_the_labels_of_before(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    record = make_image("a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, cat)
        run.fail(record, "the disk was not there")
        assert run.read_map("a.jpg").segments == cat.segments
        assert run.finish().totals.images == 1
        assert run.plan([record]).reasons == {"failed": 1}


def test_a_summary_says_what_happened(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    records = [make_image(name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(records[0], cat)
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.plan(records)
        run.commit(records[1], cat)
        run.fail(records[2], "torn")
        summary = run.finish()
    assert (summary.labelled, summary.skipped, summary.failed) == (1, 1, 1)
    data = json.loads((out / "summary.json").read_text())
    assert (data["schema_version"], data["labelled"], data["skipped"]) == (1, 1, 1)
    assert data["totals"]["classes"]["sky"] == {"images": 2, "segments": 2, "pixels": 2}
    assert json.loads((out / "run.json").read_text())["totals"]["images"] == 2


def test_one_image_with_an_impossible_name_fails_alone(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    stem = "x" * 251  # with .png these are the 255 bytes that a name may have
    longest = make_image(f"{stem}.bmp")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(make_image(f"{stem}.jpg"), cat)
        with pytest.raises(ImageError, match="rename the image"):
            run.commit(longest, cat)
        run.fail(longest, "name too long")
        run.commit(make_image("short.jpg"), cat)
        assert run.finish().totals.images == 2
    assert {path.name for path in (out / "panoptic").iterdir()} == {"short.png", f"{stem}.png"}


def test_a_name_that_leads_out_of_the_folder_is_refused(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat: PanopticMap
) -> None:
    record = make_image("a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        for name in ("../a.jpg", "/a.jpg", ""):
            with pytest.raises(ValueError, match="relative path"):
                run.commit(ImageRecord(record.path, name, 1, 1), cat)


def test_labels_of_lost_words_are_left_out_until_they_are_made_again(
    out: Path,
    make_manifest: MakeManifest,
    make_image: MakeImage,
    cat: PanopticMap,
    make_map: MakeMap,
) -> None:
    record = make_image("a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, cat)
        run.commit(make_image("sky.jpg"), make_map([[1]], {1: (3, "proposed")}))
    words = Vocabulary("words", (Category("bird", 1), Category("sky", 2, is_thing=False)))
    with RunFolder.open_or_create(out, make_manifest(vocabulary=words), update=True) as run:
        with pytest.raises(RunError, match=r"no longer has \(cat\)"):
            run.read_map("a.jpg")
        [sky] = run.read_map("sky.jpg").segments
        assert sky.category_id == 2  # the class that is called so now
        summary = run.finish()
        assert (summary.totals.images, summary.totals.outdated) == (1, 1)
        assert len(read_coco_panoptic(out / "panoptic.json", trust_states=True)) == 1
        run.commit(record, make_map([[1]], {1: (1, "proposed")}))
        assert run.finish().totals.outdated == 0
