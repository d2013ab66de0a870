"""The command `evaluate`."""

import inspect
import json
import shutil
from pathlib import Path

import click
import numpy as np
import pytest

from frozenseg_label.cli import commands, main
from frozenseg_label.demo.write_demo import write_demo
from frozenseg_label.evaluation.evaluate_labels import evaluate
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    read_panoptic_png,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Category, Vocabulary


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder / "pictures", count=2, truth=folder / "truth", size=96)
    return folder / "truth"


def test_a_comparison_is_a_table_that_fits_100_columns(
    truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(truth), str(truth)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["PQ", "100.0", "100.0", "100.0"] for line in lines)
    assert any(line.split() == ["mIoU", "100.0", "100.0", "100.0"] for line in lines)
    table = lines[: next(i for i, line in enumerate(lines) if "against" in line)]
    assert max(map(len, table)) <= 100


def test_what_could_not_be_evaluated_is_a_message_unless_quiet(
    truth: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["evaluate", str(truth), str(truth)]) == 0
    assert "the predictions carry no scores: no mask AP" in caplog.messages
    caplog.clear()
    assert main(["evaluate", str(truth), str(truth), "-q"]) == 0
    assert not caplog.messages


def test_quietly_no_table_is_printed(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(truth), str(truth), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_verbose_tells_of_every_image(truth: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["evaluate", str(truth), str(truth)]) == 0
    assert "demo-0000.png" not in caplog.text
    assert main(["evaluate", str(truth), str(truth), "-v"]) == 0
    assert {"demo-0000.png: 100.0 %", "demo-0001.png: 100.0 %"} <= set(caplog.messages)


def test_json_has_shares_and_a_version(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(truth), str(truth), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema_version"] == 1
    assert report["groups"]["all"]["pq"] == pytest.approx(1.0)
    assert report["groups"]["all"]["ap"] is None


def test_images_and_classes_of_any_name_are_compared_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = b"[red]caf\xe9.jpg".decode(errors="surrogateescape")
    ids = np.array([[1, 1]], dtype=np.int32)
    segment = Segment(1, 1, True, 2, (0, 0, 2, 1))
    write_panoptic_png(tmp_path / "panoptic" / png_name(name), ids)
    annotation = PanopticAnnotation(1, name, png_name(name), 2, 1, (segment,))
    words = Vocabulary("words", (Category(":cat: [bold]", 1),))
    write_coco_panoptic(tmp_path / "panoptic.json", words, [annotation])
    assert main(["evaluate", str(tmp_path), str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert r"[red]caf\udce9.jpg" in said
    assert ":cat: [bold]" in said
    assert main(["evaluate", str(tmp_path), str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["worst"][0]["name"] == name


def test_a_page_is_written_where_asked_for(
    truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = truth.parent / "pictures"
    arguments = ["evaluate", str(truth), str(truth), "--html", str(tmp_path / "page")]
    assert main([*arguments, "--images", str(pictures), "--worst", "1"]) == 0
    assert f"page: {tmp_path / 'page' / 'index.html'}" in capsys.readouterr().out
    assert list((tmp_path / "page").rglob("*.jpg"))


def test_either_a_truth_or_a_review_is_asked_for(truth: Path) -> None:
    assert main(["evaluate", str(truth)]) == 2
    assert main(["evaluate", str(truth), str(truth), "--reviewed"]) == 2


def test_errors_are_one_sentence(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(truth), "--reviewed"]) == 1
    assert capsys.readouterr().err.startswith(f"Error: {truth} is no run folder")
    assert main(["evaluate", str(truth), "absent"]) == 1
    assert capsys.readouterr().err.startswith("Error: absent: there is no such file or folder")


def test_every_option_has_the_default_of_the_python_function() -> None:
    context = click.Context(commands)
    command = commands.get_command(context, "evaluate")
    assert command is not None
    options = {p.name: p for p in command.params if isinstance(p, click.Option)}
    parameters = inspect.signature(evaluate).parameters
    for name in parameters.keys() - {"predicted", "truth", "progress"}:
        assert options[name].get_default(context) == parameters[name].default, name


@pytest.fixture
def worse(truth: Path, tmp_path: Path) -> Path:
    """The truth with one of its two images left empty."""
    shutil.copytree(truth, tmp_path / "worse")
    document = json.loads((tmp_path / "worse" / "panoptic.json").read_text())
    first = document["annotations"][0]
    png = tmp_path / "worse" / "panoptic" / first["file_name"]
    write_panoptic_png(png, np.zeros_like(read_panoptic_png(png)))
    first["segments_info"] = []
    (tmp_path / "worse" / "panoptic.json").write_text(json.dumps(document))
    return tmp_path / "worse"


def test_labels_below_a_limit_exit_with_4_and_a_sentence_with_both_numbers(
    truth: Path, worse: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["evaluate", str(worse), str(truth), "--json", "-q", "--min-pq", "95.5"]) == 4
    found = 100 * json.loads(capsys.readouterr().out)["groups"]["all"]["pq"]
    assert caplog.messages == [f"PQ is {found:.4g} per cent, less than --min-pq 95.5 asks for"]
    caplog.clear()
    limits = ["--min-miou", "99", "--group", "stuff"]
    assert main(["evaluate", str(worse), str(truth), "-q", *limits]) == 4
    assert caplog.messages[0].startswith("mIoU of stuff is ")
    assert main(["evaluate", str(worse), str(truth), "-q", "--min-pq", "nan"]) == 4


def test_labels_that_reach_all_limits_exit_with_0(truth: Path, worse: Path) -> None:
    limits = ["--min-pq", "100", "--min-miou", "100", "--group", "things"]
    assert main(["evaluate", str(truth), str(truth), *limits]) == 0
    assert main(["evaluate", str(worse), str(truth), "--min-pq", "1"]) == 0


def test_a_limit_for_what_is_not_known_fails(truth: Path, caplog: pytest.LogCaptureFixture) -> None:
    limits = ["--min-pq", "1", "--group", "unseen"]
    assert main(["evaluate", str(truth), str(truth), "-q", *limits]) == 4
    assert "PQ of unseen cannot be told from these labels: --min-pq 1 fails" in caplog.messages
    assert main(["evaluate", str(truth), "--reviewed", "--min-pq", "1"]) == 2
