"""Append, replay, and what becomes of torn lines."""

import json
import os
from pathlib import Path

import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.panoptic import Segment
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import Entry, Labels, StoredMap
from frozenseg_label.runs.ownership import RejectedSegment
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary("animals", (Category("cat", 1), Category("sky", 3, is_thing=False)))
SEGMENT = Segment(5, 1, True, 9, (1, 2, 3, 4), 0.5, 0.25, 3, 0.125, "model:abc", "accepted", True)


def failed(image: str, message: str = "torn") -> Entry:
    return Entry(event="failed", image=image, size=1, mtime_ns=2, message=message)


def annotated(image: str) -> Entry:
    current = StoredMap.of(b"aa", [SEGMENT, Segment(6, 3, False, 1, (0, 0, 1, 1))], VOCABULARY)
    rejected = (RejectedSegment("cat", (2, 2), (1, 2, 1), "model:abc", 0.75),)
    labels = Labels(
        file="a.png",
        width=4,
        height=3,
        state="in review",
        current=current,
        proposed=current,
        rejected=rejected,
    )
    return Entry(
        event="annotated",
        image=image,
        size=10,
        mtime_ns=1763862000123456789,
        sha256="bb",
        run="cc",
        seconds=0.25,
        labels=labels,
    )


def write(path: Path, *entries: Entry) -> None:
    journal = Journal(path, writable=True)
    for entry in entries:
        journal.append(entry)
    journal.close()


def images(path: Path) -> list[str]:
    journal = Journal(path, writable=False)
    journal.close()
    return list(journal.known)


def test_a_row_comes_back_with_all_that_it_carried(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    entry = annotated("dog/1.jpg")
    write(path, entry)
    journal = Journal(path, writable=False)
    assert journal.last("dog/1.jpg") == entry
    back = journal.last("dog/1.jpg")
    journal.close()
    assert back is not None
    assert back.labels is not None
    assert back.labels.current.segments(VOCABULARY)[0] == SEGMENT


def test_rows_are_plain_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, annotated("a"), failed("b\nc"))
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["event"], first["image"], first["run"]) == ("annotated", "a", "cc")
    assert first["labels"]["current"]["segments_info"][0]["category_id"] == 1
    assert (second["image"], second["message"]) == ("b\nc", "torn")
    assert "labels" not in second


def test_the_last_row_of_an_image_wins_and_images_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, failed("b"), failed("a"), annotated("b"))
    journal = Journal(path, writable=False)
    assert [(entry.image, entry.event) for entry in journal.entries()] == [
        ("b", "annotated"),
        ("a", "failed"),
    ]
    assert journal.known["b"].file == "a.png"
    assert journal.known["a"].file is None
    assert journal.last("c") is None
    journal.close()


def test_rows_can_be_read_while_others_are_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", writable=True)
    for name in "abc":
        journal.append(failed(name))
        last = journal.last("a")
        assert last is not None
        assert last.image == "a"
    journal.append(failed("a", "again"))
    assert [entry.message for entry in journal.entries()] == ["again", "torn", "torn"]
    journal.close()


@pytest.mark.parametrize(
    "name", ["ünï cödé #1 50%.jpg", 'quote".jpg', "line\nfeed.jpg", "\udce9.jpg"]
)
def test_any_file_name_survives(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, failed(name))
    assert images(path) == [name]


def test_a_last_row_torn_at_any_byte_is_dropped_and_cut_off(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "journal.jsonl"
    write(whole, failed("a"))
    start = whole.stat().st_size
    write(whole, failed("b"))
    data = whole.read_bytes()
    for end in range(start, len(data)):
        path.write_bytes(data[:end])
        assert images(path) == ["a"]
        assert path.stat().st_size == end  # reading mends nothing
        write(path, failed("c"))
        assert images(path) == ["a", "c"]
        assert len(path.read_bytes().splitlines()) == 2


def test_zeros_that_a_power_cut_left_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, failed("a"))
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert images(path) == ["a"]


@pytest.mark.parametrize(
    "damage", [b'{"event": "fai', b'["no row"]', b'{"event": "failed"}', b"[" * 9_999, b"9" * 5_000]
)
def test_a_damaged_row_in_the_middle_is_an_error_that_names_the_line(
    tmp_path: Path, damage: bytes
) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, failed("a"))
    with path.open("ab") as file:
        file.write(damage + b"\n")
    data = path.read_bytes()
    path.write_bytes(data + data.splitlines(keepends=True)[0])
    with pytest.raises(RunError, match="line 2"):
        Journal(path, writable=True)
    assert path.read_bytes().startswith(data)  # nothing was cut off


def test_a_row_with_a_value_of_another_kind_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, failed("a"))
    row = json.loads(path.read_bytes()) | {"image": "b", "message": 7}
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    journal = Journal(path, writable=False)
    with pytest.raises(RunError, match="line 2: no journal row"):
        journal.last("b")
    journal.close()


def test_a_pipe_in_place_of_the_journal_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    os.mkfifo(path)
    for writable in (True, False):
        with pytest.raises(RunError, match="is no file"):
            Journal(path, writable=writable)


def test_a_missing_journal_reads_as_empty(tmp_path: Path) -> None:
    assert images(tmp_path / "journal.jsonl") == []
    assert not (tmp_path / "journal.jsonl").exists()
