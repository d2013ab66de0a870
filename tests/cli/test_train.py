"""The command `train`, with the embedded model."""

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from frozenseg_label import train, write_demo
from frozenseg_label.cli import commands, main
from frozenseg_label.cli.json_forms import schema_of
from tests.json_schema import faults

SETTINGS = ("batch_size=1", "num_points=64", "log_every=1", "held_out=0.3", "save_every=1")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO panoptic set of two scenes, and one more to probe with."""
    folder = tmp_path_factory.mktemp("labels")
    write_demo(folder / "images", count=2, seed=100, truth=folder, size=96)
    write_demo(folder / "probe" / "images", count=1, seed=900, truth=folder / "probe", size=96)
    return folder


def command(labels: Path, output: Path, *options: str, rate: str) -> int:
    changes = [part for text in SETTINGS for part in ("--set", text)]
    probe = ["--probe", str(labels / "probe"), "--set", f"learning_rate={rate}"]
    steps = ["--max-steps", "2", "--set", "warm_up=0"]
    return main(["train", str(labels), "-o", str(output), *changes, *probe, *steps, *options])


def test_a_training_that_forgets_too_much_is_told_kept_and_exits_4(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(labels, out, rate="0.05") == 4
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0].split() == [
        "images",
        "classes",
        "how",
        "many",
        "PQ",
        "before",
        "after",
        "change",
    ]
    assert max(map(len, lines[: lines.index("")])) <= 100
    assert "forgot too much: the probe set lost" in said
    assert "more than 2; the weights are kept" in said
    assert (out / "best.safetensors").is_file()

    assert command(labels, out, "--resume", "--max-forgetting", "100", "--json", rate="0.05") == 0
    result = json.loads(capsys.readouterr().out)
    schema = schema_of("train")
    assert not faults(result, schema, schema)
    assert result["forgetting"] > 2.0
    assert result["forgot_too_much"] is False
    assert result["checkpoint"] == str(out / "best.safetensors")
    before = {row["classes"]: row["before"] for row in result["table"] if row["images"] == "probe"}
    assert before["all"] > 0

    assert main(["weights", "show", str(out / "best.safetensors"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    classes = json.loads((out / "report.json").read_text())["classes"]
    assert {*classes, "monkey"} <= {name for c in shown["categories"] for name in c["names"]}


def test_a_training_without_one_of_its_images_exits_3(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = Path(shutil.copytree(labels, tmp_path / "labels"))
    picture = min((spoilt / "images").iterdir())
    picture.write_bytes(picture.read_bytes()[:2000])  # its header is whole
    out = tmp_path / "out"
    options = ("--set", "held_out=0", "--max-forgetting", "100")
    assert command(spoilt, out, *options, rate="0.0001") == 3
    assert "not readable and skipped: 1 image;" in capsys.readouterr().out
    assert picture.name in (out / "report.json").read_text()


def test_what_is_wrong_is_an_error_of_one_sentence(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(labels, labels, rate="0.1") == 1
    assert capsys.readouterr().err == (
        f"Error: {labels} is not the folder of a training, and it is not empty; name a new one\n"
    )
    assert main(["train", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out")]) == 1
    assert "nowhere: there is no such file or folder" in capsys.readouterr().err


def test_a_setting_that_is_not_there_is_an_error(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(labels, tmp_path / "out", "--set", "learning-rat=1", rate="0.1") == 1
    assert "did you mean 'learning_rate'?" in capsys.readouterr().err


def test_every_option_has_the_default_of_the_python_function() -> None:
    context = click.Context(commands)
    described = commands.get_command(context, "train")
    assert described is not None
    options = {p.name: p for p in described.params if isinstance(p, click.Option)}
    parameters = inspect.signature(train).parameters
    assert parameters.keys() - {"labels", "progress"} <= options.keys()
    for name in parameters.keys() & options.keys() - {"output", "settings"}:
        assert options[name].get_default(context) == parameters[name].default, name


def test_missing_weights_are_told_before_anything_heavy_is_imported(
    labels: Path, tmp_path: Path
) -> None:
    words = ["train", str(labels), "-o", str(tmp_path / "out"), "--weights", "nowhere.safetensors"]
    program = (
        "import sys; from frozenseg_label.cli import main; "
        f"code = main({words}); sys.exit(99 if 'torch' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "nowhere.safetensors: no such file" in done.stderr


def test_quietly_and_without_a_probe_set_nothing_is_printed_or_measured(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(labels, tmp_path / "out", "--probe", "none", "-q", rate="0.0001") == 0
    assert capsys.readouterr().out == ""
    table = json.loads((tmp_path / "out" / "report.json").read_text())["table"]
    assert {row["images"] for row in table} == {"held out"}
