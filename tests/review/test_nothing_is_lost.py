"""What a person did stays, even if a program is killed or another one is at work."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import frozenseg_label
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import (
    MakeManifest,
    annotate,
    files,
    image_of,
    labels,
    open_in_fiftyone,
    png,
    segment_of,
)

SAVING = Path(__file__).with_name("saving.py")


def correct(dataset, name: str) -> None:  # noqa: ANN001
    """Change a class, reject a segment and add a new one."""
    import fiftyone as fo

    sample = image_of(dataset, name)
    segment_of(sample, 2).label = "dog"
    segment_of(sample, 3).tags = ["rejected"]
    box = [0, 0, 3 / 60, 3 / 40]
    new = fo.Detection(label="cat", bounding_box=box, mask=np.ones((3, 3), bool))
    sample.segments.detections.append(new)
    sample.save()


def corrected() -> np.ndarray:
    ids = labels().ids.copy()
    ids[ids == 3] = 0
    ids[:3, :3] = 4
    return ids


@pytest.mark.parametrize(
    ("event", "file", "count"),
    [
        ("os.rename", "/panoptic/", 1),  # only the row of one image is in the journal
        ("os.rename", "/panoptic.json", 1),  # all is in the journal
        ("os.link", "/review/", 2),  # FiftyOne shows one of the two
    ],
)
def test_a_killed_save_leaves_whole_images_and_the_next_one_finishes_it(
    out: Path, monkeypatch: pytest.MonkeyPatch, event: str, file: str, count: int
) -> None:
    dataset = open_in_fiftyone(out).dataset
    for name in ("a.png", "b.png"):
        correct(dataset, name)
    package = Path(frozenseg_label.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([f"{package}", *sys.path]))
    command = [sys.executable, SAVING, out, event, file, f"{count}"]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for name in ("a.png", "b.png", "c.png"):
        assert any(np.array_equal(png(out, name), ids) for ids in (labels().ids, corrected()))
    assert open_in_fiftyone(out).left_out == {}
    save_review(out)
    for name, ids in (("a.png", corrected()), ("b.png", corrected()), ("c.png", labels().ids)):
        assert np.array_equal(png(out, name), ids)
    before = files(out)
    assert save_review(out).images == ()
    assert files(out) == before


def test_what_is_edited_during_a_save_is_left_for_the_next_one(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_in_fiftyone(out).dataset
    correct(dataset, "a.png")
    finish = RunFolder.finish

    def edit_meanwhile(run: RunFolder) -> object:
        sample = image_of(dataset, "a.png")
        segment_of(sample, 1).label = "grass"
        sample.save()
        return finish(run)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", edit_meanwhile)
        assert len(save_review(out).images) == 1
    assert segment_of(image_of(dataset, "a.png"), 1).label == "grass"
    assert len(save_review(out).images) == 1
    with RunFolder.read(out) as run:
        found = {
            s.id: run.vocabulary.by_id(s.category_id).name for s in run.read_map("a.png").segments
        }
    assert found == {1: "grass", 2: "dog", 4: "cat"}
    assert np.array_equal(png(out, "a.png"), corrected())
    assert save_review(out).images == ()


def test_a_dataset_with_another_name_is_still_the_runs(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    correct(dataset, "a.png")
    dataset.name = "my kitchen"
    try:
        assert open_in_fiftyone(out).dataset.name == "my kitchen"
        assert len(save_review(out).images) == 1
    finally:
        dataset.delete()


def test_runs_in_folders_of_almost_one_name_have_datasets_of_their_own(
    out: Path, tmp_path: Path, make_manifest: MakeManifest
) -> None:
    correct(open_in_fiftyone(out).dataset, "a.png")
    (tmp_path / "other" / "photos").mkdir(parents=True)
    (tmp_path / "photos" / "b.png").rename(tmp_path / "other" / "photos" / "b.png")
    annotate(tmp_path / "other", make_manifest(), labels())
    second = (tmp_path / "other" / "out").rename(tmp_path / "Out!")
    assert open_in_fiftyone(second).dataset.name == "frozenseg-Out!-2"
    assert len(open_in_fiftyone(out).dataset) == 3
    assert len(save_review(out).images) == 1


def test_a_copy_made_where_a_moved_run_lay_takes_nothing_from_it(out: Path, tmp_path: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    moved = out.rename(tmp_path / "moved")
    open_in_fiftyone(moved)
    correct(dataset, "a.png")
    shutil.copytree(moved, out)
    assert open_in_fiftyone(out).dataset.name != dataset.name
    assert len(save_review(moved).images) == 1


def test_a_save_right_after_a_merge_waits_for_the_mask_that_belongs_to_the_new_box(
    out: Path,
) -> None:
    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    cat, dog = segment_of(sample, 2), segment_of(sample, 3)
    sample.segments.detections = [one for one in sample.segments.detections if one.id != dog.id]
    cat.bounding_box = [5 / 60, 22 / 40, 50 / 60, 16 / 40]  # of both; the App sends it first
    sample.save()

    def send_mask() -> None:
        later = image_of(sample._dataset, "a.png")
        mask = np.isin(labels().ids[22:38, 5:55], (2, 3))
        segment_of(later, 2).mask = np.kron(mask, np.ones((3, 3), np.uint8))  # as on the screen
        later.save()

    timer = threading.Timer(0.7, send_mask)
    timer.start()
    [report] = save_review(out).images
    timer.join()
    assert [(change.kind, change.segment) for change in report.changes] == [("merged", 2)]
    expected = labels().ids
    expected[expected == 3] = 2
    assert np.array_equal(png(out, "a.png"), expected)
