"""What commands print with --json is what `frozenseg-label schema` says."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from frozenseg_label.cli import main
from frozenseg_label.cli.json_forms import FORMS, schema_of
from frozenseg_label.cli.output import print_json
from frozenseg_label.demo.write_demo import write_demo
from frozenseg_label.review.app.save_corrections import SaveReport
from frozenseg_label.review.corrections.apply_edits import Change
from frozenseg_label.review.corrections.correct_image import ImageReport
from tests.json_schema import faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstration images and one that cannot be read, their truth and labels."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder / "pictures", count=2, truth=folder / "truth", size=128)
    (folder / "pictures" / "broken.jpg").write_bytes(b"no picture")
    arguments = [
        "annotate",
        f"{folder / 'pictures'}",
        "--vocab",
        "stickers",
        "-q",
        "--keep-proposals",
    ]
    assert main([*arguments, "-o", f"{folder / 'labels'}"]) == 3
    return folder


@pytest.mark.parametrize(
    ("command", "line", "code"),
    [
        ("annotate", "annotate pictures --vocab stickers -o labels --keep-proposals --json", 3),
        ("annotate", "annotate pictures --vocab stickers -o new --dry-run --json", 0),
        ("doctor", "doctor --json", 0),
        ("relabel", "relabel labels --vocab stickers --json", 0),
        ("relabel --try", "relabel labels --try cat --image demo-0000.png --json", 0),
        ("evaluate", "evaluate labels truth --json", 0),
        ("export", "export labels --to yolo-seg -o yolo --json", 0),
        ("import", "import labels truth --from coco-panoptic --json", 0),
        ("evaluate --reviewed", "evaluate labels --reviewed --json", 0),
        ("calibrate --undo", "calibrate labels --undo --json", 0),
        ("vocab check", "vocab check coco-panoptic-133 --json", 0),
        ("vocab list", "vocab list --json", 0),
        ("vocab show", "vocab show stickers --json", 0),
        ("weights list", "weights list --json", 0),
        ("weights show", "weights show nano --json", 0),
    ],
)
def test_commands_print_what_their_schema_says(
    command: str,
    line: str,
    code: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main(line.split()) == code
    schema = schema_of(command)
    assert not faults(json.loads(capsys.readouterr().out), schema, schema)


def test_what_a_save_of_corrections_prints_is_what_the_schema_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = (Change("relabelled", 1, "cat", before="dog", gained=2, lost=1),)
    image = ImageReport("a.png", "reviewed", changes)
    print_json(**asdict(SaveReport(Path("labels"), (image,), 3)))
    schema = schema_of("review --save")
    assert not faults(json.loads(capsys.readouterr().out), schema, schema)


def test_every_schema_can_be_shown_and_says_what_it_is_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert names == list(FORMS)
    for name in names:
        assert main(["schema", *name.split()]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["title"] == f"frozenseg-label {name} --json"
        assert shown["properties"]["schema_version"] == {"const": 1}
        assert shown["description"]


def test_what_has_no_schema_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "demo"]) == 2
    assert "there is no schema of 'demo'; there are: annotate, " in capsys.readouterr().err


def test_what_the_schema_does_not_say_is_found() -> None:
    schema = schema_of("calibrate --undo")
    good = {"schema_version": 1, "run": "labels", "images": 1, "segments": 2}
    assert not faults(good, schema, schema)
    for bad in ({"images": "1"}, {"schema_version": 2}, {"more": 1}):
        assert faults(good | bad, schema, schema)
    assert faults({"schema_version": 1}, schema, schema)
