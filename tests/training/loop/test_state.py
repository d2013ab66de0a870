"""A training that was stopped or killed goes on as if it had not been."""

from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.loop.fine_tune import Progress
from frozenseg_label.training.loop.state import Memory
from frozenseg_label.training.loop.training_log import LOG, TENSORBOARD
from tests.training.small_training import (
    SETTINGS,
    assert_same_weights,
    rows_without_seconds,
    stop_after,
    train,
    weights,
)


def test_stopped_and_started_again_it_gives_the_same_weights_bit_for_bit(
    build_tiny: Callable[[], FrozenSeg], tmp_path: Path
) -> None:
    straight, stopped, again = build_tiny(), build_tiny(), build_tiny()
    train(straight, tmp_path / "straight")

    assert train(stopped, tmp_path / "stopped", on_step=stop_after(3)) == 3
    assert train(again, tmp_path / "stopped") == SETTINGS.steps

    assert_same_weights(again, weights(straight))
    rows = rows_without_seconds(tmp_path / "stopped")
    assert rows == rows_without_seconds(tmp_path / "straight")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]


def test_a_training_that_was_killed_goes_on_from_its_last_state_bit_for_bit(
    build_tiny: Callable[[], FrozenSeg], tmp_path: Path
) -> None:
    def kill_after_three(progress: Progress) -> None:
        if progress.steps == 3:
            raise KeyboardInterrupt

    straight, killed, again = build_tiny(), build_tiny(), build_tiny()
    train(straight, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(killed, tmp_path / "killed", on_step=kill_after_three)
    assert (tmp_path / "killed" / "state-00000002").is_dir()
    train(again, tmp_path / "killed")
    assert_same_weights(again, weights(straight))
    rows = rows_without_seconds(tmp_path / "killed")
    assert rows == rows_without_seconds(tmp_path / "straight")


def test_what_is_remembered_comes_back_with_the_state(
    build_tiny: Callable[[], FrozenSeg], tmp_path: Path
) -> None:
    memory = Memory({"best PQ": 31.5})

    def remember(progress: Progress) -> None:
        memory.values["steps"] = progress.steps
        stop_after(3)(progress)

    train(build_tiny(), tmp_path, on_step=remember, memory=memory)
    again = Memory()
    train(build_tiny(), tmp_path, memory=again, on_step=stop_after(4))
    assert (again.values["best PQ"], again.values["steps"]) == (31.5, 3)


def test_a_finished_training_is_not_repeated(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    train(tiny_frozenseg, tmp_path)
    finished = weights(tiny_frozenseg)
    assert train(tiny_frozenseg, tmp_path) == SETTINGS.steps
    assert_same_weights(tiny_frozenseg, finished)


def test_only_the_newest_state_is_kept_and_what_a_kill_left_is_removed(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    (tmp_path / ".state-00000002.123.tmp").mkdir()
    train(tiny_frozenseg, tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [LOG, "state-00000006", TENSORBOARD]
