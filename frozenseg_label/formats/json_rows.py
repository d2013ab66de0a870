"""A JSON document with long lists, read row by row; rows can be read again from where they are.

What is accepted, and what is said of anything else, is as in `documents`: Python's own parser reads
each row. (ijson does not say where a row is and refuses NaN, msgspec wants the whole file at once.)
"""

import codecs
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from frozenseg_label.documents import LARGEST_JSON, json_decoder, parse_json, unreadable
from frozenseg_label.errors import FormatError
from frozenseg_label.files import read_regular

_CHUNK = 1 << 20  # bytes
_EDGE = 8  # characters; a number may go on in the next chunk, as in 1|e5
_BLANKS = " \t\n\r"
_MARKS = {  # encodings that begin with a mark: the same without, and bytes of the mark
    "utf-8-sig": ("utf-8", 3),
    "utf-16": ("utf-16-le", 2),
    "utf-32": ("utf-32-le", 4),
}


class RowPlace(NamedTuple):
    """Where a row is in its file: bytes from its start, and the row's own bytes."""

    offset: int
    length: int


class JsonRows:
    """The rows of all lists of one file whose document is an object.

    FormatError, here and when its rows are read: it is no file with JSON, or is too large.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        head = read_regular(path, FormatError, most=4)
        with path.open("rb") as file:
            self._stamp = _stamp(file.fileno())
        if self._stamp[0] > LARGEST_JSON:
            size = f"{LARGEST_JSON >> 20} MB"
            raise FormatError(
                f"{path}: larger than {size}, which is the most that is read; name another"
            )
        encoding = json.detect_encoding(head)
        self._encoding, self._mark = _MARKS.get(encoding, (encoding, 0))
        if head.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
            self._encoding = self._encoding.replace("-le", "-be")

    def __iter__(self) -> Iterator[tuple[str, RowPlace | None, Any]]:
        """Yield key, place and value of each row of a list that is a value of the document.

        Before its rows, a list itself comes as an empty one without a place; values that are no
        lists come likewise. A document that is no object has no keys.
        """
        with _explained(self.path), self.path.open("rb") as file:
            file.seek(self._mark)
            decoded = io.TextIOWrapper(file, self._encoding, "surrogatepass", newline="")
            text = _Text(decoded, self._encoding)
            if (begin := text.next()) == "[":
                return
            if begin != "{":
                text.value()
                return
            yield from self._values(text, self._mark)

    def row(self, place: RowPlace) -> Any:  # noqa: ANN401 - anything
        """Return a row once more."""
        with self.path.open("rb") as file:
            if _stamp(file.fileno()) != self._stamp:
                raise FormatError(
                    f"{self.path}: was changed while it was read; give the same command again"
                )
            file.seek(place.offset)
            content = file.read(place.length)
        return parse_json(content, f"{self.path}", FormatError)

    def _values(self, text: "_Text", start: int) -> Iterator[tuple[str, RowPlace | None, Any]]:
        for _ in text.items("}"):
            key = text.value() if text.next() == '"' else None
            if key is None:
                raise text.fault("Expecting property name enclosed in double quotes")
            if text.next() != ":":
                raise text.fault("Expecting ':' delimiter")
            text.skip()
            if text.next() != "[":
                yield key, None, text.value()
                continue
            yield key, None, []
            for _ in text.items("]"):
                begin = text.byte
                row = text.value()
                yield key, RowPlace(start + begin, text.byte - begin), row
        if text.next():
            raise text.fault("Extra data")


class _Text:
    """The text of a file, of which the part around the place that is being read is in memory.

    Attributes:
        place: of the next character in `part`.
        byte: of the same in the file, counted from the text's first.
    """

    def __init__(self, file: io.TextIOWrapper, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder = json_decoder()
        self.part = ""
        self.place = self.byte = 0
        self._before = self._lines = self._column = 0  # of what was let go

    def next(self) -> str:
        """Return the next character that is no blank, and go there; nothing at the end."""
        while True:
            place = self.place
            while place < len(self.part) and self.part[place] in _BLANKS:
                place += 1
            self._go_to(place)
            if place < len(self.part):
                return self.part[place]
            if not self._read_on():
                return ""

    def skip(self) -> None:
        """Go one character on."""
        self._go_to(self.place + 1)

    def items(self, closing: str) -> Iterator[None]:
        """Go to each item of the list or object that begins here, and behind it."""
        self.skip()
        if self.next() != closing:
            while True:
                self.next()
                yield
                if self.next() != ",":
                    break
                self.skip()
                if self.next() == closing:
                    raise self.fault("Illegal trailing comma before end of list or object")
        if self.next() != closing:
            raise self.fault("Expecting ',' delimiter")
        self.skip()

    def value(self) -> Any:  # noqa: ANN401 - anything
        """Return the value that begins here, and go behind it."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self.part, self.place)
            except json.JSONDecodeError as error:
                if self._read_on():
                    continue
                raise self.fault(error.msg, error.pos) from None
            is_open = not isinstance(value, str | dict | list) and end + _EDGE > len(self.part)
            if is_open and self._read_on():
                continue
            self._go_to(end)
            return value

    def fault(self, message: str, place: int | None = None) -> ValueError:
        """Return the error that something is wrong at a place of the part, in Python's words."""
        place = self.place if place is None else place
        line = self.part.count("\n", 0, place)
        column = place - self.part.rfind("\n", 0, place) + (0 if line else self._column)
        where = f"line {self._lines + line + 1} column {column} (char {self._before + place})"
        return ValueError(f"{message}: {where}")

    def _go_to(self, place: int) -> None:
        passed = self.part[self.place : place]
        self.byte += len(passed.encode(self._encoding, "surrogatepass"))
        self.place = place

    def _read_on(self) -> bool:
        """Read more, and let go what was passed; where there is no more, nothing changes."""
        more = self._file.read(max(_CHUNK, len(self.part) - self.place))  # twice, for large values
        if not more:
            return False
        gone = self.part[: self.place]
        self._before += len(gone)
        self._lines += gone.count("\n")
        last = gone.rfind("\n")
        self._column = self._column + len(gone) if last < 0 else len(gone) - last - 1
        self.part, self.place = self.part[self.place :] + more, 0
        return True


def _stamp(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what a parser says of a file into the sentence of `documents`."""
    try:
        yield
    except (ValueError, RecursionError, MemoryError) as fault:
        raise unreadable(f"{path}", FormatError, fault) from fault
