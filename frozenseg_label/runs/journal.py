"""The journal: append-only, a line is one event of one image, and the last line of an image wins.

A row is written in one piece and handed to the system at once, so a killed run loses none. It is
forced to the disk at least once a second while rows come, and at the end: a power cut costs the
labels of the last second, which the next run makes again. Rows that commit a person's work are
forced to the disk one by one.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from frozenseg_label.documents import parse_json
from frozenseg_label.errors import RunError
from frozenseg_label.files import explained, refuse_links, sync_folder
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.known import Known, known_of, replay
from frozenseg_label.runs.layout import REJECTED, folded, free_png_name
from frozenseg_label.runs.rejected_masks import RejectedMasks

SYNC_SECONDS = 1.0

_PIECE = 1 << 20  # bytes that are read at once


class EncodedRow(NamedTuple):
    """A row as it goes into the file.

    Attributes:
        image, line: its name, and the row's bytes with the line's end.
        known: what memory keeps of it; the offset is not known yet.
    """

    image: str
    line: bytes
    known: Known


class Journal:
    """The rows of one `journal.jsonl`.

    Opened to write, it cuts a torn last line off the file; opened to read, it passes over it.
    Rows may be appended from several threads.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._writing = threading.RLock()
        self._synced_at = time.monotonic()
        self._rejected = RejectedMasks(path.with_name(REJECTED))
        if writable:
            refuse_links(path.parent, path.name)
        if path.exists() and not path.is_file():  # a pipe would be waited for, without an end
            raise RunError(f"{path}: is no file; put the journal itself there")
        with explained(path):
            # Unbuffered: a row is with the system when `write` returns.
            there = writable or path.exists()
            self._file = FileIO(path if there else os.devnull, "a+" if writable else "r")
        try:
            self._known, self._end = replay(path)
            files = (known.file for known in self._known.values() if known.file is not None)
            self._files = {folded(file) for file in files}
            self._promised: dict[str, str] = {}  # PNGs of images without labels yet
            if writable:
                with explained(path):
                    if self._file.seek(0, os.SEEK_END) > self._end:  # a torn line
                        self._file.truncate(self._end)
                    sync_folder(path.parent)
        except BaseException:
            self._file.close()
            raise

    @property
    def known(self) -> dict[str, Known]:
        """Return the last row of each image, images in the order in which they first came."""
        return self._known

    @property
    def length(self) -> int:
        """Return bytes of whole rows."""
        return self._end

    def free_png_name(self, image: str) -> str:
        """Return the PNG that the first labels of an image shall have; no other image gets it."""
        name = self._promised.get(image)
        if name is None:
            self._promised[image] = name = free_png_name(image, self._files)
            self._files.add(folded(name))
        return name

    def last(self, image: str) -> Entry | None:
        """Return the last row of an image; None if it never came."""
        known = self._known.get(image)
        return None if known is None else self.row(known.place)

    def entries(self) -> Iterator[Entry]:
        """Yield the last row of each image, read one by one, in the order of `known`."""
        for known in list(self._known.values()):
            yield self.row(known.place)

    def rows(self) -> Iterator[tuple[RowPlace, Entry]]:
        """Yield all rows and where they are, the oldest first."""
        for place, line in self.lines():
            yield place, self._parsed(line, place.offset)

    def lines(self) -> Iterator[tuple[RowPlace, bytes]]:
        """Yield the same as text.

        Read from the file that was opened: another program may put a shorter one in its place.
        """
        offset, rest, end = 0, b"", self._end
        while (read := offset + len(rest)) < end:
            piece = self.line(RowPlace(read, min(_PIECE, end - read)))
            if not piece:  # somebody cut the file off
                return
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield RowPlace(offset, len(line) + 1), line + b"\n"
                offset += len(line) + 1

    def row(self, place: RowPlace) -> Entry:
        """Return the row at a place that `rows` told."""
        return self._parsed(self.line(place), place.offset)

    def line(self, place: RowPlace) -> bytes:
        """Return the same as text."""
        with self._lock:
            self._file.seek(place.offset)  # appending goes to the end all the same
            return self._file.read(place.length)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one thread at a time write to the run folder, if it still is where it was opened."""
        with self._writing, self.unmoved():
            yield

    @contextmanager
    def unmoved(self) -> Iterator[None]:
        """Let a thread stage files, if the run folder still is where it was opened."""
        self.refuse_moved()
        try:
            yield
        except RunError:
            self.refuse_moved()  # that is the reason why something could not be written
            raise

    def refuse_moved(self) -> None:
        """Raise RunError where somebody moved, removed or replaced the run folder since."""
        refuse_moved(os.fstat(self._file.fileno()), self.path)

    def append(self, row: Entry | EncodedRow, *, durable: bool = False) -> None:
        """Add a row.

        Args:
            row: encoded, where another worker has done that already.
            durable: it is on the disk when this returns; else within a second, or at the next row.
        """
        if isinstance(row, Entry):
            row = self._encoded(row)
        self.refuse_moved()
        with self._lock, explained(self.path):
            try:
                _write_all(self._file, row.line)
                if durable or time.monotonic() - self._synced_at >= SYNC_SECONDS:
                    self._sync()
            except BaseException:
                self._file.truncate(self._end)  # a full disk leaves whole rows only
                raise
            known = row.known._replace(offset=self._end)
            self._known[row.image] = known
            if known.file is not None:
                self._files.add(folded(known.file))
                self._promised.pop(row.image, None)
            self._end += len(row.line)

    def sync(self) -> None:
        """Force all rows to the disk."""
        with self._lock, explained(self.path):
            self._sync()

    def close(self) -> None:
        """Let the file go; `sync` first where rows were appended."""
        self._file.close()
        self._rejected.close()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced_at = time.monotonic()

    def _encoded(self, entry: Entry) -> EncodedRow:
        """Return a row in which masks of rejected segments are only named; they are kept once."""
        row = _dumped(entry)
        if entry.labels is not None and entry.labels.rejected:
            rejected = self._rejected.keep(row["labels"]["rejected"], self._named(entry.image))
            row["labels"]["rejected"] = rejected
        return _as_line(row)

    def _named(self, image: str) -> list[dict[str, Any]]:
        """Return what the image's last row names of rejected segments."""
        known = self._known.get(image)
        row = json.loads(self.line(known.place)) if known is not None else {}
        return list((row.get("labels") or {}).get("rejected", ()))

    def _parsed(self, line: bytes, offset: int) -> Entry:
        try:
            row = parse_json(line, f"{self.path}", RunError)
        except RunError as error:
            raise self._no_row(error, offset) from None
        row = self._rejected.put_back(row)
        try:
            return Entry.model_validate(row)
        except ValidationError as error:
            raise self._no_row(error, offset) from None

    def _no_row(self, error: Exception, offset: int) -> RunError:
        with self.path.open("rb") as file:
            number = file.read(offset).count(b"\n") + 1
        where = f"{self.path}, line {number}"
        return RunError(f"{where}: no journal row ({error}); delete that line")


def encode_row(entry: Entry) -> Entry | EncodedRow:
    """Return a row of which as much is done as a worker without the journal can do."""
    if entry.labels is not None and entry.labels.rejected:
        return entry  # the journal keeps their masks
    return _as_line(_dumped(entry))


def _dumped(entry: Entry) -> dict[str, Any]:
    return entry.model_dump(exclude_none=True) | {"time": entry.time.isoformat()}


def _as_line(row: dict[str, Any]) -> EncodedRow:
    line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    return EncodedRow(row["image"], line, known_of(row, 0, len(line)))


def refuse_moved(opened: os.stat_result, path: Path) -> None:
    """Raise RunError where the journal that was opened is no longer the file at its path.

    What is written by the folder's path would go to another place than the rows.
    """
    try:
        same = os.path.samestat(opened, path.stat())
    except OSError:
        same = False
    if not same:
        raise RunError(
            f"{path.parent}: was moved, removed or replaced while this program wrote to it, so it "
            "stops; give the command again with the folder's new place"
        )


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all bytes; the system may take them in pieces."""
    while data:
        data = data[file.write(data) :]
