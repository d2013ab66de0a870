"""The command `doctor`."""

import json
from pathlib import Path

import pytest

from frozenseg_label.checkpoints import named_weights as pretrained
from frozenseg_label.cli import main


def findings(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    said = json.loads(capsys.readouterr().out)
    assert said["schema_version"] == 1
    return {finding["check"]: finding for finding in said["findings"]}


def test_doctor_says_what_works_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    assert main(["doctor"]) == 0
    said = capsys.readouterr()
    for words in (
        "Python",
        "torch",
        "nano (embedded",
        "coco-panoptic-133",
        str(tmp_path / "cache"),
    ):
        assert words in said.out
    assert said.err == ""


def test_damaged_weights_and_a_locked_cache_are_found_and_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "nano.safetensors").write_bytes(b"half a file")
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(pretrained, "EMBEDDED", tmp_path / "nano.safetensors")
    assert main(["doctor", "--json"]) == 1
    found = findings(capsys)
    broken = {name for name, finding in found.items() if not finding["works"]}
    assert broken - {"MongoDB"} == {  # that depends on the machine
        "weights",
        "cache folder",
    }
    assert "nano.safetensors" in str(found["weights"]["found"])
    assert "FROZENSEG_LABEL_CACHE" in str(found["cache folder"]["remedy"])
