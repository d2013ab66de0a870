"""JSON, YAML and TOML of strangers: one sentence that names the file, within seconds."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frozenseg_label.documents import read_json, read_toml
from frozenseg_label.errors import FormatError, FrozenSegLabelError
from frozenseg_label.training.settings import read_settings
from frozenseg_label.vocabulary_files import read_vocabulary

Read = Callable[[Path], object]


def as_json(path: Path) -> Any:  # noqa: ANN401 - JSON may be anything
    return read_json(path, FormatError, largest=1 << 24)


def as_toml(path: Path) -> dict[str, Any]:
    return read_toml(path, FormatError)


READERS: dict[str, Read] = {
    "a.json": as_json,
    "a.toml": as_toml,
    "vocabulary.yaml": read_vocabulary,
    "recipe.yaml": read_settings,
    "words.txt": read_vocabulary,
}
DEEP = b"[" * 100_000
DIGITS = b"9" * 5_000
HOSTILE = {
    "no text": b"\xff\xfe\x00\x01",
    "NUL": b"a\0b\n",
    "deep": DEEP,
    "deep in a key": b"classes: " + DEEP,
    "deep in a TOML key": b"a = " + DEEP,
    "digits": DIGITS,
    "digits of a key": b"steps: " + DIGITS,
    "digits of a TOML key": b"steps = " + DIGITS,
    "hexadecimal": b"steps: 0x" + b"f" * 9_000,
    "base 60": b"steps: 1" + b":1" * 500_000,
    "a date": b"steps: 2026-13-01",
    "an alias": b"a: &a [x]\nb: *a\n",
    "too large": b"#" * (17 << 20),
    "a long line": b"classes: [" + b"x" * 5_000_000 + b"]\n",
    "a surrogate": b'classes: ["\\ud800"]\n',
    "a terminal's escape": b'classes: ["\\e[31mcat"]\n',
    "a large id": b"classes: [{name: a, id: 0xffffffffff}]\n",
    "many keys": b"".join(b"k%d: 1\n" % number for number in range(50_000)),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_told_in_one_short_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(FrozenSegLabelError) as caught:
        READERS[name](path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert time.process_time() - started < 20


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(FrozenSegLabelError, match=r"no regular file|no such file"):
        READERS[name](path)
    path.unlink()
    path.mkdir()
    with pytest.raises(FrozenSegLabelError, match=r"is a folder|no such file"):
        READERS[name](path)


def test_numbers_that_are_none_become_nothing_at_the_border(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[NaN, Infinity, -Infinity, 1e999, 1.5, 9007199254740993]")
    assert as_json(path) == [None, None, None, None, 1.5, 9007199254740993]


def test_a_vocabulary_of_many_classes_takes_seconds_of_work_only(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("classes:\n" + "".join(f"- {{name: w{n}, id: {n}}}\n" for n in range(20_000)))
    started = time.process_time()
    assert len(read_vocabulary(path)) == 20_000
    assert time.process_time() - started < 30


def test_more_names_than_anybody_could_encode_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("".join(f"w{number}\n" for number in range(100_001)))
    with pytest.raises(FrozenSegLabelError, match="100001 names, and 100000 are the most"):
        read_vocabulary(path)
