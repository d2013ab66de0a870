"""The command `demo`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frozenseg_label.cli import main


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frozenseg_label", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_demo_writes_images_and_says_on_stderr_what_comes_next(tmp_path: Path) -> None:
    said = demo("demo", tmp_path, "--count", "2")
    assert len(list(tmp_path.glob("*.png"))) == 2
    assert said.stdout == ""
    assert f"frozenseg-label annotate {tmp_path} --vocab stickers -o {tmp_path}-labels" in (
        said.stderr
    )


def test_quiet_silences_it_before_the_command_and_after(tmp_path: Path) -> None:
    assert demo("-q", "demo", tmp_path, "--count", "1").stderr == ""
    assert demo("demo", tmp_path, "--count", "1", "-q").stderr == ""


def test_demo_refuses_a_count_of_none(tmp_path: Path) -> None:
    assert main(["demo", str(tmp_path / "images"), "--count", "0"]) == 2
    assert not (tmp_path / "images").exists()


def test_other_files_in_the_folder_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "demo-0007.png").write_bytes(b"mine")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "demo-0000.png").write_bytes(b"replaced")
    assert main(["demo", str(tmp_path), "--count", "1"]) == 0
    assert (tmp_path / "demo-0007.png").read_bytes() == b"mine"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "demo-0000.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_in_the_way_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["demo", str(tmp_path / "file" / "images")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {tmp_path / 'file' / 'images'}: cannot be written")
    assert len(error.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    assert main(["demo", str(tmp_path), "--count", "1"]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
