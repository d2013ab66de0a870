"""The rows of a log survive kills and come only once; the progress bar fits a terminal."""

import io
import json
import logging
import math
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from frozenseg_label.errors import TrainingError
from frozenseg_label.training.loop.training_log import (
    LOG,
    TENSORBOARD,
    TrainingLog,
    read_rows,
    shown_steps,
)


def log_steps(folder: Path, first: int, last: int, done: int) -> None:
    """Write the log of a run from `done` on: two losses a step, an evaluation at every third."""
    with TrainingLog(folder, done) as log:
        for step in range(first, last + 1):
            log.row(step, {"loss": 1 / step, "mask": 0.1 * step})
            if step % 3 == 0:
                log.row(step, {"held out PQ": 20.0 + step})


def read_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    files = EventAccumulator(str(folder / TENSORBOARD))
    files.Reload()
    return {
        name: [(point.step, point.value) for point in files.Scalars(name)]
        for name in files.Tags()["scalars"]
    }


def test_what_is_written_is_read_back_to_the_last_digit(tmp_path: Path) -> None:
    log_steps(tmp_path, 1, 3, done=0)
    assert read_rows(tmp_path / LOG) == [
        {"step": 1, "loss": 1.0, "mask": 0.1},
        {"step": 2, "loss": 0.5, "mask": 0.2},
        {"step": 3, "loss": 1 / 3, "mask": 0.1 * 3},
        {"step": 3, "held out PQ": 23.0},
    ]


def test_a_row_is_on_its_way_to_the_disk_before_the_log_is_closed(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, 0)
    log.row(1, {"loss": 2.0})
    assert read_rows(tmp_path / LOG) == [{"step": 1, "loss": 2.0}]
    assert read_tensorboard(tmp_path) == {"loss": [(1, 2.0)]}
    log.close()


def test_a_run_that_goes_on_has_every_row_once_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    log_steps(straight, 1, 9, done=0)
    log_steps(killed, 1, 7, done=0)  # killed after step 7; the newest saved state is of step 4
    log_steps(killed, 5, 9, done=4)
    assert (killed / LOG).read_bytes() == (straight / LOG).read_bytes()


def test_the_curves_of_a_run_that_goes_on_have_no_point_twice(tmp_path: Path) -> None:
    log_steps(tmp_path, 1, 7, done=0)
    log_steps(tmp_path, 5, 9, done=4)
    curves = read_tensorboard(tmp_path)
    assert [step for step, _ in curves["loss"]] == list(range(1, 10))
    assert curves["held out PQ"] == [(3, 23.0), (6, 26.0), (9, 29.0)]


def test_a_torn_last_line_is_dropped_and_no_row_is_glued_to_it(tmp_path: Path) -> None:
    log_steps(tmp_path, 1, 2, done=0)
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 2, "held out P')
    log_steps(tmp_path, 3, 3, done=2)
    steps = [json.loads(line)["step"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert steps == [1, 2, 3, 3]


@pytest.mark.parametrize("line", ["3", "[1]", "{}", '{"loss": 1.0}', "\0\0\0", ""])
def test_lines_that_are_no_rows_are_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / LOG).write_text(f'{line}\n{{"step": 1, "loss": 2.0}}\n')
    assert read_rows(tmp_path / LOG) == [{"step": 1, "loss": 2.0}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_null_and_stays_it(tmp_path: Path, value: float) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    with TrainingLog(tmp_path, 0) as log:
        log.row(1, {"loss": value, "mask": 0.5})
    TrainingLog(tmp_path, 1).close()
    line = (tmp_path / LOG).read_text()
    assert json.loads(line, parse_constant=refuse) == {"step": 1, "loss": None, "mask": 0.5}
    assert math.isnan(read_rows(tmp_path / LOG)[0]["loss"])


def test_a_training_whose_folder_is_moved_away_stops(tmp_path: Path) -> None:
    with TrainingLog(tmp_path / "run", 0) as log:
        log.row(1, {"loss": 1.0})
        (tmp_path / "run").rename(tmp_path / "moved")
        (tmp_path / "run").mkdir()  # as a state that is saved next would do
        with pytest.raises(TrainingError, match=r"run.log\.jsonl: cannot be written, no such file"):
            log.row(2, {"loss": 0.5})
    assert [row["step"] for row in read_rows(tmp_path / "moved" / LOG)] == [1]


def test_a_log_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / LOG) == []


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / LOG).mkdir()
    with TrainingLog(tmp_path / "other", 0) as log:
        log.path.unlink()
        log.path.mkdir()
        with pytest.raises(TrainingError, match=LOG):
            log.row(1, {"loss": 1.0})


class Terminal(io.StringIO):
    """A stderr that keeps what a terminal would show."""

    def isatty(self) -> bool:
        return True


def show_steps(total: int, done: int, progress: bool) -> list[str]:
    """Run the steps that are left, every other one with losses; return what a terminal shows."""
    with redirect_stderr(Terminal()) as terminal, shown_steps(total, done, progress) as on_step:
        for step in range(done + 1, total + 1):
            losses = {"loss": 51.234, "classification": 1.5, "mask": 0.25, "dice": 0.625}
            on_step(step, {**losses, "learning_rate": 1e-4} if step % 2 == 0 else {})
    return terminal.getvalue().strip().split("\r")


def test_the_bar_shows_steps_losses_and_time_left_on_80_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    last = show_steps(total=368_750, done=368_740, progress=True)[-1]
    assert last.startswith("step 368750/368750 |")
    assert last.endswith("left, loss 51.23 class 1.50 mask 0.25 dice 0.62")


def test_the_bar_of_a_run_that_goes_on_starts_where_the_last_one_ended() -> None:
    first, *_, last = show_steps(total=10, done=6, progress=True)
    assert first.startswith("step 6/10 ")
    assert last.startswith("step 10/10 ")


def test_messages_go_above_the_bar() -> None:
    logger = logging.getLogger("test")
    with redirect_stderr(Terminal()) as terminal:
        root = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(root)
        try:
            with shown_steps(10, 0, progress=True):
                logger.warning("a message")
        finally:
            logging.getLogger().removeHandler(root)
    assert "a message\n" in terminal.getvalue()
    assert terminal.getvalue().count("step 0/10 ") >= 2  # drawn anew below the message


def test_no_bar_is_shown_unasked_or_of_a_finished_training() -> None:
    assert show_steps(total=10, done=0, progress=False) == [""]
    assert show_steps(total=10, done=10, progress=True) == [""]


def test_no_bar_is_shown_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_steps(10, 0, progress=True) as on_step:
        on_step(10, {"loss": 1.0})
    assert capsys.readouterr().err == ""
