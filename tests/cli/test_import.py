"""The command `import`, from demonstration images to a run of a person's labels."""

import inspect
import json
from pathlib import Path

import click
import pytest

from frozenseg_label import import_labels
from frozenseg_label.cli import commands, main


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstration images, their truth, and what the embedded model makes of them."""
    folder = tmp_path_factory.mktemp("import")
    truth = ["--with-truth", str(folder / "truth")]
    assert main(["demo", str(folder / "images"), "--count", "2", *truth]) == 0
    labels = ["--vocab", "stickers", "-o", str(folder / "labels")]
    assert main(["annotate", str(folder / "images"), *labels]) == 0
    return folder


def test_the_truth_comes_in_and_is_reported(
    pictures: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    command = ["import", str(pictures / "labels"), str(pictures / "truth")]
    assert main([*command, "--from", "coco-panoptic"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].split() == ["images", "imported", "2"]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["schema_version"], report["images"], report["unchanged"]) == (1, 0, 2)
    assert "nothing to do" in caplog.text


def test_what_does_not_fit_is_an_error(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((pictures / "truth" / "panoptic.json").read_text())
    for image in document["images"]:
        image["file_name"] = "other-" + image["file_name"]
    (tmp_path / "panoptic.json").write_text(json.dumps(document))
    pngs = ["--pngs", str(pictures / "truth" / "panoptic")]
    assert main(["import", str(pictures / "labels"), str(tmp_path), *pngs]) == 1
    assert "'other-demo-0000.png'" in capsys.readouterr().err


def test_every_option_has_the_default_of_the_python_function() -> None:
    context = click.Context(commands)
    command = commands.get_command(context, "import")
    assert command is not None
    options = {p.name: p for p in command.params if isinstance(p, click.Option)}
    parameters = inspect.signature(import_labels).parameters
    assert parameters.keys() - {"output", "labels", "progress"} <= options.keys()
    for name in parameters.keys() & options.keys():
        assert options[name].get_default(context) == parameters[name].default, name
