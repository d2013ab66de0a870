"""Whose folder it is, who has it, and whether it agrees with what is asked."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest, read_manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {f"{path.relative_to(folder)}": path.read_bytes() for path in files}


@pytest.fixture
def labelled(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """A run folder with one labelled image, a cat."""
    path = tmp_path / "out"
    record = make_image("1.jpg")
    with RunFolder.open_or_create(path, make_manifest()) as run:
        run.plan([record])
        run.commit(record, make_map([[1, 1]], {1: (1, "proposed")}))
        run.finish()
    return path


def test_the_same_again_changes_no_file(labelled: Path, make_manifest: MakeManifest) -> None:
    before = content(labelled)
    with RunFolder.open_or_create(labelled, make_manifest()) as run:
        summary = run.finish()
    assert content(labelled) == before
    assert (summary.labelled, summary.totals.images) == (0, 1)


def test_an_empty_folder_is_taken(tmp_path: Path, make_manifest: MakeManifest) -> None:
    (tmp_path / "out").mkdir()
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()):
        pass
    assert (tmp_path / "out" / "run.json").is_file()


def test_somebody_elses_folder_is_refused_and_left_as_it_is(
    tmp_path: Path, make_manifest: MakeManifest
) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with (
        pytest.raises(RunError, match=r"no run folder.*thesis\.tex.*empty folder"),
        RunFolder.open_or_create(tmp_path, make_manifest()),
    ):
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]  # noqa: PTH208


def test_a_file_is_no_folder(tmp_path: Path, make_manifest: MakeManifest) -> None:
    (tmp_path / "out").write_text("")
    with (
        pytest.raises(RunError, match="is a file"),
        RunFolder.open_or_create(tmp_path / "out", make_manifest()),
    ):
        pass


def test_other_labels_are_refused_and_told_unless_an_update_is_asked_for(
    labelled: Path, make_manifest: MakeManifest
) -> None:
    before = content(labelled)
    other = make_manifest(weights="large", min_score=0.5)
    with (
        pytest.raises(
            RunError, match=r"weights \(nano.*min_score \(0\.0.*--update.*another folder"
        ),
        RunFolder.open_or_create(labelled, other),
    ):
        pass
    assert content(labelled) == before
    with RunFolder.open_or_create(labelled, other, update=True) as run:
        assert run.manifest.weights.name == "large"
    with RunFolder.open_or_create(labelled, other):  # the update goes on without being asked again
        pass


def test_other_colours_are_taken_over_without_an_update(
    labelled: Path, make_manifest: MakeManifest, vocabulary: Vocabulary
) -> None:
    colours = tuple(replace(category, color=(1, 2, 3)) for category in vocabulary.categories)
    with RunFolder.open_or_create(
        labelled, make_manifest(vocabulary=Vocabulary("animals", colours))
    ) as run:
        run.finish()
    assert '"color":[1,2,3]' in (labelled / "panoptic.json").read_text()


def test_a_vocabulary_without_a_class_that_a_person_used_is_refused(
    labelled: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    with RunFolder.open_or_create(labelled, make_manifest()) as run:
        accepted = make_map([[1, 1]], {1: (1, "accepted")})
        run.correct(make_image("1.jpg"), accepted, state="in review")
    birds = make_manifest(vocabulary=Vocabulary("birds", (Category("bird", 1),)))
    with (
        pytest.raises(RunError, match=r"birds: cat \(cat in 1\.jpg\)"),
        RunFolder.open_or_create(labelled, birds, update=True),
    ):
        pass
    with RunFolder.open_or_create(labelled, make_manifest()) as run:
        assert run.read_map("1.jpg").segments[0].state == "accepted"


def test_a_folder_in_use_is_refused_with_the_process_that_has_it(
    labelled: Path, make_manifest: MakeManifest
) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from frozenseg_label.runs.run_folder import RunFolder\n"
        "with RunFolder.open_to_correct(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, labelled], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for _ in range(2):  # being refused does not rub out who has it
            with (
                pytest.raises(RunError, match=f"in use by process {holder.pid}"),
                RunFolder.open_or_create(labelled, make_manifest()),
            ):
                pass
        holder.kill()
    with RunFolder.open_or_create(labelled, make_manifest()):  # the dead hold nothing
        pass


def test_two_openings_in_one_process_exclude_each_other(
    labelled: Path, make_manifest: MakeManifest
) -> None:
    with (
        RunFolder.open_or_create(labelled, make_manifest()),
        pytest.raises(RunError, match="in use"),
        RunFolder.open_or_create(labelled, make_manifest()),
    ):
        pass


def test_a_folder_can_be_read_while_it_is_written(
    labelled: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    before = content(labelled)
    with RunFolder.open_or_create(labelled, make_manifest()) as run:
        with RunFolder.read(labelled) as reader:
            assert reader.read_map("1.jpg").segments[0].category_id == 1
            assert [record.relative for record in reader.plan([make_image("2.jpg")]).todo] == [
                "2.jpg"
            ]
        assert content(labelled) == before
        run.commit(make_image("2.jpg"), make_map([[1]], {1: (2, "proposed")}))
        with RunFolder.read(labelled) as reader:
            assert [entry.image for entry in reader.entries()] == ["1.jpg", "2.jpg"]


def test_a_folder_without_a_run_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"), RunFolder.read(tmp_path):
        pass


def test_a_run_that_goes_on_in_another_precision_says_so_and_keeps_both(
    labelled: Path, make_manifest: MakeManifest, caplog: pytest.LogCaptureFixture
) -> None:
    warnings = []
    for precision in ("bf16", "bf16", "fp32", "bf16"):
        caplog.clear()
        with RunFolder.open_or_create(labelled, make_manifest()) as run:
            run.note_precision(precision)
            run.finish()
        warnings.append(caplog.messages)
    assert read_manifest(labelled).precisions == ("bf16", "fp32")
    (warning,) = warnings[2]
    assert "made in bf16, and are made in fp32 from now on" in warning
    assert not warnings[0] + warnings[1] + warnings[3]
