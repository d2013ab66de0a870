"""A run whose folder is moved while it is written to stops, and makes no second folder."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.runs.run_folder import RunFolder
from tests.faults.labelling import RECORDS, corrected, labels


def move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def replace(folder: Path) -> None:
    move(folder)
    folder.mkdir()


@pytest.mark.parametrize("happens", [move, replace])
def test_a_run_whose_folder_is_moved_half_way_stops_and_goes_on_in_the_new_place(
    tmp_path: Path, labelling: list[str], happens: Callable[[Path], None]
) -> None:
    out, moved = tmp_path / "out", tmp_path / "moved"
    command = [*labelling, out, "run", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        said = [run.stdout.readline().strip() for _ in range(5)]
        happens(out)
        *rest, error = run.stdout.read().splitlines()
    assert error.startswith(f"error: {out}: was moved, removed or replaced")
    assert not out.exists() or not list(out.iterdir())
    labelled = {*said, *rest}
    assert len(labelled) < 100_000
    again = subprocess.run(
        [*labelling, moved, "run", f"{len(labelled) + 3}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(again).isdisjoint(labelled)
    pngs = {path.stem for path in (moved / "panoptic").iterdir()}
    assert pngs == {Path(name).stem for name in labelled | set(again)}


def write_to_moved(folder: Path, place: Path, action: Callable[[RunFolder], object]) -> None:
    with RunFolder.open_to_correct(folder) as run:
        folder.rename(place)
        action(run)


def test_nothing_that_is_written_to_a_folder_survives_its_move_unnoticed(tmp_path: Path) -> None:
    corrected(tmp_path / "start")
    actions: tuple[Callable[[RunFolder], object], ...] = (
        lambda run: run.commit(RECORDS[1], labels(1)),
        lambda run: run.correct(RECORDS[0], labels(2, "accepted"), state="reviewed"),
        lambda run: run.fail(RECORDS[3], "half-written"),
        lambda run: run.finish(),
    )
    for number, action in enumerate(actions):
        (tmp_path / "start").rename(tmp_path / "out")
        before = (tmp_path / "out" / "journal.jsonl").read_bytes()
        with pytest.raises(RunError, match="out: was moved"):
            write_to_moved(tmp_path / "out", tmp_path / "start", action)
        assert not (tmp_path / "out").exists(), number
        assert (tmp_path / "start" / "journal.jsonl").read_bytes() == before
