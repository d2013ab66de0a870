"""The command `calibrate`."""

import inspect
import json
from pathlib import Path

import click
import pytest

from frozenseg_label import calibrate
from frozenseg_label.cli import commands, main
from frozenseg_label.cli.json_forms import schema_of
from frozenseg_label.cli.output import GATE_FAILED
from tests.json_schema import faults
from tests.review.judged_run import REVIEWED, SEGMENTS, judged_run, pictures


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return judged_run(tmp_path / "run", pictures(tmp_path))


def test_what_is_accepted_is_said_with_its_bound_and_undone_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = tmp_path / "words.yaml"
    assert main(["calibrate", f"{run}", "--accept", "0.95", "--vocab-out", f"{words}"]) == 0
    said = capsys.readouterr().out
    assert "320 reviewed segments in 16 images" in said
    assert "Expected calibration error: " in said
    assert "with 95 % confidence" in said
    half = REVIEWED * SEGMENTS // 2
    assert f"{half} of {2 * half} proposed segments (50.0 %) are accepted" in said
    assert words.is_file()
    assert main(["calibrate", f"{run}", "--undo"]) == 0
    assert f"{half} segments in {REVIEWED} images are proposed again" in capsys.readouterr().out


def test_a_precision_out_of_reach_exits_with_4_and_says_what_is_missing(
    run: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["calibrate", f"{run}", "--accept", "0.999", "--json"]) == GATE_FAILED
    found = json.loads(capsys.readouterr().out)
    schema = schema_of("calibrate")
    assert not faults(found, schema, schema)
    assert found["acceptance"]["segments"] == 0
    assert f"At least {2995 - found['right']} more reviewed segments" in caplog.text


def test_undoing_goes_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", f"{run}", "--undo", "--accept", "0.9"]) == 2
    assert "--undo goes without" in capsys.readouterr().err


def test_every_option_has_the_default_of_the_python_function() -> None:
    context = click.Context(commands)
    command = commands.get_command(context, "calibrate")
    assert command is not None
    options = {p.name: p for p in command.params if isinstance(p, click.Option)}
    parameters = inspect.signature(calibrate).parameters
    shared = parameters.keys() & options.keys()
    assert shared == {"accept", "vocab_out", "precision", "picture"}
    for name in shared:
        assert options[name].get_default(context) == parameters[name].default, name
