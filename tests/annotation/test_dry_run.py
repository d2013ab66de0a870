"""A dry run measures a few images, refuses what a run would refuse, and writes nothing."""

from pathlib import Path

import pytest

from frozenseg_label.annotation.dry_run import DECODED_BYTES, MAP_BYTES, estimate
from frozenseg_label.errors import ImageError, RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from tests.annotation.conftest import label_by_hand


@pytest.fixture
def other_manifest(manifest: Manifest) -> Manifest:
    """Of a run with another option."""
    return manifest.model_copy(update={"options": {"min_score": 0.5}})


@pytest.fixture
def reviewed(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> Path:
    """A run folder with two images, the second of them reviewed by a person."""
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        run.plan(records)
        label_by_hand([records[0]], predictor, run)
        label_by_hand([records[1]], predictor, run)
        seen = run.read_map(records[1].relative)
        run.correct(records[1], seen, state="reviewed")
        run.finish()
    return tmp_path / "out"


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_time_and_space_are_those_of_all_images(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    few = estimate(records, predictor, tmp_path / "out", None)
    many = estimate(records * 100, predictor, tmp_path / "out", None)
    assert (few.images, many.images) == (5, 500)
    assert 0 < few.seconds < many.seconds
    assert 0 < few.disk_bytes < many.disk_bytes
    assert few.free_bytes > 0
    assert few.memory_bytes is None or few.memory_bytes > 10_000_000
    assert not (tmp_path / "out").exists()


def test_memory_is_that_of_a_run_which_reads_one_image_while_it_labels_another(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    one = estimate(records[:1], predictor, tmp_path / "out", None).memory_bytes
    all_of_them = estimate(records, predictor, tmp_path / "out", None, batch_size=2).memory_bytes
    if one is not None and all_of_them is not None:  # not on Windows
        assert all_of_them - one >= (DECODED_BYTES + 4 * MAP_BYTES) * 64 * 96


def test_images_that_cannot_be_read_are_passed_over(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    records[0].path.write_bytes(b"no picture")
    assert estimate(records, predictor, tmp_path, None).seconds > 0
    for record in records:
        record.path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"none of \d images.*a\.png"):
        estimate(records, predictor, tmp_path, None)


def test_the_plan_is_that_of_the_run(
    reviewed: Path, records: list[ImageRecord], manifest: Manifest
) -> None:
    before = content(reviewed)
    with RunFolder.preview(reviewed, manifest) as run:
        plan = run.plan(records)
    assert plan.done == tuple(records[:2])
    assert plan.reasons == {"new": 3}
    assert content(reviewed) == before


def test_with_update_reviewed_images_stay_done(
    reviewed: Path, records: list[ImageRecord], other_manifest: Manifest
) -> None:
    before = content(reviewed)
    with RunFolder.preview(reviewed, other_manifest, update=True) as run:
        plan = run.plan(records)
    assert plan.done == (records[1],)
    assert plan.reasons == {"outdated": 1, "new": 3}
    assert content(reviewed) == before


def test_a_folder_that_the_run_would_refuse_is_refused(
    tmp_path: Path, reviewed: Path, manifest: Manifest, other_manifest: Manifest
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("ten years of work")
    (tmp_path / "file").write_text("no folder")
    for folder, asked, words in (
        (tmp_path / "thesis", manifest, "no run folder"),
        (tmp_path / "file", manifest, "is a file"),
        (reviewed, other_manifest, "min_score.*--update"),
    ):
        for open_ in (RunFolder.preview, RunFolder.open_or_create):
            with pytest.raises(RunError, match=words), open_(folder, asked):
                pass


def test_all_is_to_do_where_there_is_no_folder_yet(
    tmp_path: Path, records: list[ImageRecord], manifest: Manifest
) -> None:
    with RunFolder.preview(tmp_path / "out", manifest) as run:
        assert run.plan(records).todo == tuple(records)
    assert not (tmp_path / "out").exists()
