"""The log file: everything that happens, whatever is shown."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from frozenseg_label.cli import main
from frozenseg_label.demo.write_demo import write_demo
from frozenseg_label.progress_bar import shown

BEGIN = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (DEBUG|INFO|WARNING|ERROR|CRITICAL) \S+: "
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_quiet_run_writes_everything_into_its_log_file(folder: Path) -> None:
    write_demo(folder / "pictures", count=1, size=128)
    command = ["annotate", "pictures", "--vocab", "stickers", "-o", "labels", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "frozenseg_label", *command, "--log-file", "run.log"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    lines = Path("run.log").read_text(encoding="utf-8").splitlines()
    assert all(BEGIN.match(line) for line in lines)
    assert " INFO frozenseg_label.cli.messages: frozenseg-label " in lines[0]
    assert lines[-1].endswith("-q --log-file run.log ended with exit code 0")
    assert any(" DEBUG " in line for line in lines)


def test_the_log_file_is_appended_to_and_has_the_error_that_ended_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("run.log").write_text("an earlier line\n", encoding="utf-8")
    for _ in range(2):
        assert main(["--log-file", "run.log", "vocab", "check", "no\x1bwhere"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    lines = Path("run.log").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "an earlier line"
    assert [line for line in lines if line.endswith(f": {said[0]}")] == [lines[3], lines[7]]
    assert " ERROR " in lines[3]
    assert "\x1b" not in "".join(lines)


def test_what_breaks_a_command_off_is_in_the_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frozenseg_label.vocabulary_files.shipped_counts", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["--log-file", "run.log", "vocab", "list"])
    text = Path("run.log").read_text(encoding="utf-8")
    assert " CRITICAL " in text
    assert text.endswith("ZeroDivisionError: division by zero\n\n")


def test_a_log_file_that_cannot_be_written_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "pictures", "--log-file", "no/folder/run.log"]) == 2
    assert "no/folder/run.log cannot be written" in capsys.readouterr().err
    assert not Path("pictures").exists()


def test_the_lines_of_a_long_job_are_in_the_log_also_where_nothing_is_shown(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "frozenseg_label")
    list(shown(range(2), show=False, doing="reading", every=0.0))
    assert capsys.readouterr().err == ""
    assert [message.split(",")[0] for message in caplog.messages] == [
        "reading: 1 of 2 images",
        "reading: 2 of 2 images",
    ]
