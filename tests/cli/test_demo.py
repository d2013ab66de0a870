"""The command `demo`."""

from pathlib import Path

import pytest

from frozenseg_label.cli import main


def test_demo_writes_images_and_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(tmp_path), "--count", "2"]) == 0
    assert len(list(tmp_path.glob("*.png"))) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "frozenseg-label annotate" in said.err


def test_demo_refuses_a_count_of_none(tmp_path: Path) -> None:
    assert main(["demo", str(tmp_path / "images"), "--count", "0"]) == 2
    assert not (tmp_path / "images").exists()
