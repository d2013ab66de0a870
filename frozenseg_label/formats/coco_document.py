"""The frame of a COCO JSON with `images` and `annotations`, written row by row."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from pydantic import JsonValue

from frozenseg_label.files import atomic_stream

AddRow = Callable[[JsonValue], None]

_NULL = b"null"


@contextmanager
def coco_document(path: Path, head: Mapping[str, JsonValue]) -> Iterator[tuple[AddRow, AddRow]]:
    """Yield two functions, for a row of `images` and for one of `annotations`.

    `images` comes last in the file: until then its rows are in a temporary file beside it, so that
    the memory needed does not depend on their number. Names of files that are no Unicode survive,
    as JSON escapes.

    Args:
        head: what the document has beside these two.
    """
    with atomic_stream(path) as file, tempfile.TemporaryFile(dir=path.parent) as images:
        begin = b"{"
        for key, value in head.items():
            file.write(begin + json.dumps(key).encode() + b": " + _json(value))
            begin = b",\n"
        file.write(begin + b'"annotations": [')
        yield _rows(images), _rows(file)
        file.write(b'\n],\n"images": [')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(b"\n]}\n")


def _rows(file: BinaryIO) -> AddRow:
    separators = iter([b"\n"])

    def add(row: JsonValue) -> None:
        file.write(next(separators, b",\n") + _json(row))

    return add


def _json(value: JsonValue) -> bytes:
    try:
        row = msgspec.json.encode(value)
    except UnicodeEncodeError:  # the name of a file that is no Unicode
        row = _NULL
    if _NULL in row:  # for which NaN is written, too; Python's own encoder, slower, refuses it
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return row
