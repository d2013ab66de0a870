"""What is shown of a long job, in a terminal and without one."""

import io
import logging
import sys
from contextlib import redirect_stderr

import pytest

from frozenseg_label.progress_bar import progress_bar, shown


class Terminal(io.StringIO):
    """A stderr that keeps what a terminal would show."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_lines_say_what_is_done_the_rate_the_time_left_and_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = iter((0, 0, 1, 1))
    names = ["a", "b", "c", "d"]
    assert list(shown(names, show=True, failed=lambda: next(failures), every=0.0)) == names
    first, _, third, _ = capsys.readouterr().err.splitlines()
    assert first.startswith("1 of 4 images, ")
    assert " images/s, 00:00 left" in first
    assert third.startswith("3 of 4 images, ")
    assert third.endswith(" left, 1 failed")


def test_a_slow_job_that_goes_on_says_seconds_per_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((100.0, 104.0, 108.0))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    with progress_bar(10, show=True, done=6, doing="learning", unit="step", every=5) as bar:
        bar.update()
        bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["learning: 8 of 10 steps, 4.0 s/step, 00:08 left"]


@pytest.mark.parametrize(("show", "total"), [(False, 3), (True, 0)])
def test_nothing_is_shown_unasked_or_of_nothing_to_do(
    show: bool, total: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(shown(range(total), show=show, every=0.0)) == list(range(total))
    assert capsys.readouterr().err == ""


def test_a_quick_job_writes_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    list(shown(range(100), show=True))
    assert capsys.readouterr().err == ""


def test_in_a_terminal_there_is_a_bar_and_messages_go_above_it() -> None:
    with redirect_stderr(Terminal()) as terminal:
        root = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(root)
        try:
            for _ in shown(range(2), show=True, doing="reading", every=0.0):
                logging.getLogger("test").warning("a message")
        finally:
            logging.getLogger().removeHandler(root)
    assert "a message\n" in terminal.getvalue()
    assert "reading: 100%" in terminal.getvalue()
    assert "images/s, " not in terminal.getvalue()
