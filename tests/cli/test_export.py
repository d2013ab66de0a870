"""The command `export`, from a run folder to what other tools read."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from frozenseg_label import export_labels
from frozenseg_label.cli import commands, main
from frozenseg_label.panoptic import PanopticMap
from tests.evaluation.conftest import make_map, make_set, vocabulary

__all__ = ["make_map", "make_set", "vocabulary"]


@pytest.fixture
def labels(
    tmp_path: Path, make_set: Callable[..., Path], make_map: Callable[..., PanopticMap]
) -> Path:
    made = make_map([[1, 1, 3], [2, 2, 3]], {1: 1, 2: 1, 3: 3}, scores={1: 0.9})
    return make_set(tmp_path / "truth", {"1.jpg": made, "2.jpg": made})


def test_the_result_is_on_stdout_and_what_is_lost_was_told_before(
    labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    command = ["export", str(labels), "--to", "class-png", "-o", str(tmp_path / "out")]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["images", "2"]
    assert "class-png cannot hold: 4 segments beside another one of their class" in caplog.text
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["schema_version"], report["images"], report["unchanged"]) == (1, 2, 2)
    assert report["lost"]["instances"] == 4


def test_strict_is_an_error_and_so_is_a_folder_of_others(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(labels), "--to", "class-png", "-o"]
    assert main([*command, str(tmp_path / "out"), "--strict"]) == 1
    assert not (tmp_path / "out").exists()
    assert "without --strict" in capsys.readouterr().err
    assert main([*command, str(labels)]) == 1
    assert "not empty" in capsys.readouterr().err


def test_a_split_that_is_none_is_a_wrong_option(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(labels), "--to", "yolo-seg", "-o", str(tmp_path / "out")]
    assert main([*command, "--split", "all"]) == 2
    assert "80/10/10" in capsys.readouterr().err


def test_images_whose_labels_are_damaged_are_named_and_the_others_leave(
    labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (labels / "panoptic" / "1.png").unlink()
    command = ["export", str(labels), "--to", "class-png", "-o", str(tmp_path / "out"), "--json"]
    assert main(command) == 3
    assert json.loads(capsys.readouterr().out)["images"] == 1
    assert "not exported" in caplog.text


def test_every_option_has_the_default_of_the_python_function() -> None:
    context = click.Context(commands)
    command = commands.get_command(context, "export")
    assert command is not None
    options = {p.name: p for p in command.params if isinstance(p, click.Option)}
    parameters = inspect.signature(export_labels).parameters
    assert parameters.keys() - {"labels", "progress", "writer"} <= options.keys()
    for name in parameters.keys() & options.keys() - {"form", "output"}:
        assert options[name].get_default(context) == parameters[name].default, name
