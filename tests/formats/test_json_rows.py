"""A long JSON document, read row by row, says what it says when it is read as a whole."""

import json
from pathlib import Path

import pytest

from frozenseg_label.documents import read_json
from frozenseg_label.errors import FormatError
from frozenseg_label.formats import json_rows
from frozenseg_label.formats.json_rows import JsonRows

DOCUMENT = """ {"info" : {"a": [1, {}]},\r\n "rows":[ 1e5 ,-0.25,12345,true,null,NaN,-Infinity,
  "a\\"]}", {"name": "caf\\udce9", "b": [[], {"c": "ü]"}]},[ ],{"雪": "😀"}, 7],
  "none": [], "empty": {}, "number": 12.5e-3, "other": [{"x": [1,2]}\t]}
"""


@pytest.fixture(params=[1, 2, 3, 5, 8, 1 << 20])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that are read at once."""
    monkeypatch.setattr(json_rows, "_CHUNK", request.param)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le"]
)
def test_its_rows_are_those_of_the_whole_and_can_be_read_again(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(DOCUMENT.encode(encoding))
    rows, found = JsonRows(path), {}
    for key, place, row in rows:
        if place is None:
            found[key] = row
        else:
            found[key].append(row)
            assert rows.row(place) == row
    assert found == read_json(path, FormatError)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    "content",
    [
        '{\n"rows": [1,\n  {"a": 1 "b": 2}]}',
        '{"rows": [{"a": 1}\n {"a": 2}]}',
        '{"rows": [1, 2',
        '{"rows": [{"a": "text}]',
        '{"rows": 1} {}',
        '{"rows" 1}',
        "{rows: 1}",
        '{"rows": [tru]}',
        '{"rows": [' + "[" * 100_000,
    ],
)
def test_what_is_wrong_is_said_with_its_place_as_by_the_reader_of_the_whole(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(FormatError) as whole:
        read_json(path, FormatError)
    with pytest.raises(FormatError) as by_rows:
        list(JsonRows(path))
    assert str(by_rows.value) == str(whole.value)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("content", ['{"rows": [1, ]}', '{"rows": [1],}', "{,}", "", '{"rows": [}'])
def test_a_damaged_document_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(FormatError, match=r"labels\.json: no whole JSON \(.*line 1 column"):
        list(JsonRows(path))


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(b'{"rows": ["\xff\xff"]}')
    with pytest.raises(FormatError, match=r"labels\.json: no whole JSON \('utf-8' codec"):
        list(JsonRows(path))


def test_a_file_that_changed_meanwhile_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"rows": [1, 2]}')
    rows = JsonRows(path)
    [_, (_, first, _), _] = rows
    path.write_text(json.dumps({"rows": [333, 4, 5]}))
    assert first is not None
    with pytest.raises(FormatError, match="was changed while it was read"):
        rows.row(first)
