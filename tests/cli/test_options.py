"""Options from `frozenseg-label.toml` and from the environment."""

import json
from pathlib import Path
from typing import Any

import pytest

from frozenseg_label.cli import CONFIG_FILE, commands, main
from frozenseg_label.cli.options import read_settings


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def parameters(*arguments: str) -> dict[str, Any]:
    """What `annotate` would be called with."""
    with commands.make_context("frozenseg-label", ["annotate"]) as ctx:
        ctx.default_map = read_settings(Path(CONFIG_FILE), ctx)
        command = commands.get_command(ctx, "annotate")
        assert command is not None
        given = ["images", "-o", "out", *arguments]
        return command.make_context("annotate", given, parent=ctx).params


def write(text: str) -> None:
    Path(CONFIG_FILE).write_text(text)


@pytest.mark.parametrize("key", ["min-score", "min_score"])
def test_keys_are_the_names_of_options(key: str) -> None:
    write(f'[annotate]\n{key} = 0.25\nformat = ["class-png", "per-class-png"]\njson = true\n')
    found = parameters()
    assert found["min_score"] == 0.25
    assert found["formats"] == ("class-png", "per-class-png")
    assert found["as_json"] is True


def test_one_text_will_do_for_an_option_of_several_values() -> None:
    write('[annotate]\nformat = "class-png"\n')
    assert parameters()["formats"] == ("class-png",)


def test_variables_are_named_like_options_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_FORMAT", "class-png per-class-png")
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_MIN_SCORE", "0.5")
    found = parameters()
    assert found["formats"] == ("class-png", "per-class-png")
    assert found["min_score"] == 0.5
    monkeypatch.setenv("FROZENSEG_LABEL_WEIGHTS_LIST_JSON", "1")
    assert main(["weights", "list"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"]


def test_the_command_line_beats_the_environment_and_that_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("[annotate]\nlimit = 1\nbatch-size = 1\nmax-pixels = 1\n")
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_LIMIT", "2")
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_BATCH_SIZE", "2")
    found = parameters("--limit", "3")
    assert (found["limit"], found["batch_size"], found["max_pixels"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[annotate]\nmin-scor = 0.5\n", "[annotate] no option 'min-scor' is known; did you mean "),
        ("[annotat]\n", "no table 'annotat' is known; did you mean 'annotate'?"),
        ("[weights.fetsh]\noffline = true\n", "did you mean 'fetch'?"),
        ('weights = "nano"\n', "'weights' belongs below the name of a command"),
        ("[annotate\n", "is not valid TOML"),
        ("[annotate]\nlimit = [1, 2]\n", "[annotate] limit: one value is wanted"),
    ],
)
def test_what_nobody_would_read_is_refused(
    text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(text)
    assert main(["weights", "list"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {CONFIG_FILE}")
    assert told in error


def annotate_nothing(*arguments: str) -> int:
    return main(["annotate", "nowhere", "-o", "out", *arguments])


def test_classes_on_the_command_line_beat_a_vocabulary_of_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write('[annotate]\nvocab = "no-such.yaml"\n')
    assert annotate_nothing("--classes", "cat") == 1
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert "no-such.yaml" not in error
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_CLASSES", "cat, cat")
    assert annotate_nothing("--vocab", "other.yaml") == 1
    assert "other.yaml" in capsys.readouterr().err


def test_a_vocabulary_and_classes_in_one_place_are_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert annotate_nothing("--vocab", "stickers", "--classes", "cat") == 2
    write('[annotate]\nvocab = "stickers"\nclasses = "cat"\n')
    assert annotate_nothing() == 2
    assert "either --vocab or --classes" in capsys.readouterr().err


def test_a_bad_value_says_where_it_is_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("[annotate]\nmin-score = 7\n")
    assert annotate_nothing("--classes", "cat") == 2
    error = capsys.readouterr().err
    assert "'--min-score': 7.0 is not in the range" in error
    assert f"from {CONFIG_FILE}, table [annotate]." in error
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_FORMAT", "jpeg")
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_MIN_SCORE", "0.5")
    assert annotate_nothing("--classes", "cat") == 2
    assert "the environment variable FROZENSEG_LABEL_ANNOTATE_FORMAT." in capsys.readouterr().err
    assert annotate_nothing("--classes", "cat", "--format", "png") == 2
    assert "The value is from" not in capsys.readouterr().err


def test_variables_that_nobody_reads_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", "cache")
    monkeypatch.setenv("FROZENSEG_LABEL_QUIET", "0")
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_LIMIT", "1")
    monkeypatch.setenv("FROZENSEG_LABEL_WEIGHTS_LIST_JSON", "1")
    assert main(["weights", "list"]) == 0
    assert not caplog.messages
    monkeypatch.setenv("FROZENSEG_LABEL_ANOTATE_LIMT", "1")
    monkeypatch.setenv("FROZENSEG_LABEL_ZZZ", "1")
    assert main(["weights", "list"]) == 0
    assert caplog.messages == [
        "FROZENSEG_LABEL_ANOTATE_LIMT: no such option, it is not used; "
        "did you mean FROZENSEG_LABEL_ANNOTATE_LIMIT?",
        "FROZENSEG_LABEL_ZZZ: no such option, it is not used",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["annotate", "images", "--classes", "cat", "-o", "s3://bucket/labels"],
        ["evaluate", "gs://bucket/labels", "truth"],
        ["export", "labels", "--to", "yolo-seg", "-o", "s3://bucket/yolo"],
        ["train", "labels", "-o", "hdfs://host/training"],
        ["review", "labels", "--html", "s3://bucket/page"],
        ["demo", "s3://bucket/pictures"],
    ],
)
def test_addresses_are_refused_where_files_are_wanted(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "is an address, and a path on this machine is wanted" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
