"""The journal: append-only, a line is one event of one image, and the last line of an image wins.

A row is written in one piece and handed to the system at once, so a killed run loses none. It is
forced to the disk at least once a second while rows come, and at the end: a power cut costs the
labels of the last second, which the next run makes again. Rows that commit a person's work are
forced to the disk one by one.
"""

import io
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from frozenseg_label.documents import parse_json
from frozenseg_label.errors import RunError
from frozenseg_label.files import explained, refuse_links, sync_folder
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.runs.journal_rows import Entry, Event
from frozenseg_label.runs.layout import (
    checked_name,
    folded,
    free_png_name,
    long_png_name,
)

SYNC_SECONDS = 1.0


class Known(NamedTuple):
    """What memory keeps of an image's last row; the rest is read from the file when needed.

    Attributes:
        offset, length: of the row in the file, bytes.
        file, png_size: of the labels' PNG; None: there are none, or a row does not say. A failure
            keeps labels.
        is_reviewed: whether these labels are a person's last word.
        is_corrected: whether a person has done anything to them.
        has_kept: whether a file of proposals is kept beside them.
        others: as in `Entry`.
    """

    offset: int
    length: int
    event: Event
    size: int
    mtime_ns: int
    sha256: str | None
    run: str | None
    file: str | None
    png_size: int | None
    is_reviewed: bool
    is_corrected: bool
    has_kept: bool


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
        if writable:
            refuse_links(path.parent, path.name)
        if path.exists() and not path.is_file():  # a pipe would be waited for, without an end
            raise RunError(f"{path}: is no file; put the journal itself there")
        with explained(path):
            # Unbuffered: a row is with the system when `write` returns.
            there = writable or path.exists()
            self._file = FileIO(path if there else os.devnull, "a+" if writable else "r")
        try:
            self._known, self._end = _replay(path)
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
        if image not in self._promised:
            self._promised[image] = name = free_png_name(image, self._files)
            self._files.add(folded(name))
        return self._promised[image]

    def last(self, image: str) -> Entry | None:
        """Return the last row of an image; None if it never came."""
        known = self._known.get(image)
        return None if known is None else self.row(RowPlace(known.offset, known.length))

    def entries(self) -> Iterator[Entry]:
        """Yield the last row of each image, read one by one, in the order of `known`."""
        for known in list(self._known.values()):
            yield self.row(RowPlace(known.offset, known.length))

    def rows(self) -> Iterator[tuple[RowPlace, Entry]]:
        """Yield all rows and where they are, the oldest first."""
        offset, end = 0, self._end
        with self.path.open("rb") if end else io.BytesIO() as file:
            while offset < end:
                line = file.readline()
                yield RowPlace(offset, len(line)), self._parsed(line, offset)
                offset += len(line)

    def row(self, place: RowPlace) -> Entry:
        """Return the row at a place that `rows` told."""
        with self._lock:
            self._file.seek(place.offset)  # appending goes to the end all the same
            line = self._file.read(place.length)
        return self._parsed(line, place.offset)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one thread at a time write to the run folder, if it still is where it was opened."""
        with self._writing:
            self.refuse_moved()
            try:
                yield
            except RunError:
                self.refuse_moved()  # that is the reason why something could not be written
                raise

    def refuse_moved(self) -> None:
        """Raise RunError where somebody moved, removed or replaced the run folder since."""
        refuse_moved(os.fstat(self._file.fileno()), self.path)

    def append(self, entry: Entry, *, durable: bool = False) -> None:
        """Add a row.

        Args:
            durable: it is on the disk when this returns; else within a second, or at the next row.
        """
        row = entry.model_dump(exclude_none=True) | {"time": entry.time.isoformat()}
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        self.refuse_moved()
        with self._lock, explained(self.path):
            try:
                _write_all(self._file, line)
                if durable or time.monotonic() - self._synced_at >= SYNC_SECONDS:
                    self._sync()
            except BaseException:
                self._file.truncate(self._end)  # a full disk leaves whole rows only
                raise
            self._known[entry.image] = known = _known(row, self._end, len(line))
            if known.file is not None:
                self._files.add(folded(known.file))
                self._promised.pop(entry.image, None)
            self._end += len(line)

    def sync(self) -> None:
        """Force all rows to the disk."""
        with self._lock, explained(self.path):
            self._sync()

    def close(self) -> None:
        """Let the file go; `sync` first where rows were appended."""
        self._file.close()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced_at = time.monotonic()

    def _parsed(self, line: bytes, offset: int) -> Entry:
        try:
            return Entry.model_validate(parse_json(line, f"{self.path}", RunError))
        except (RunError, ValidationError) as error:
            with self.path.open("rb") as file:
                number = file.read(offset).count(b"\n") + 1
            where = f"{self.path}, line {number}"
            raise RunError(f"{where}: no journal row ({error}); delete that line") from None


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


def _replay(path: Path) -> tuple[dict[str, Known], int]:
    """Return the last row of each image, and where whole rows end."""
    known: dict[str, Known] = {}
    end = 0
    if not path.exists():
        return known, end
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            row = _parse(line)
            if row is None:
                if file.readline():
                    raise RunError(
                        f"{path}, line {number}: no whole journal row; delete that line, "
                        "and its image is labelled again"
                    )
                break
            try:
                known[checked_name(row["image"])] = _known(row, end, len(line))
            except (AttributeError, ValueError) as error:
                raise RunError(
                    f"{path}, line {number}: no journal row ({error}); delete that line"
                ) from None
            except (KeyError, TypeError) as error:
                raise RunError(
                    f"{path}, line {number}: a journal row without {error}; delete that line, "
                    "and its image is labelled again"
                ) from None
            end += len(line)
    return known, end


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the row in a line; None if the line is torn."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _known(row: Mapping[str, Any], offset: int, length: int) -> Known:
    labels = row.get("labels") or {}
    return Known(
        offset=offset,
        length=length,
        event=row["event"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        sha256=row.get("sha256"),
        run=row.get("run"),
        file=labels.get("file", long_png_name(row["image"])) if labels else None,
        png_size=labels["current"].get("size") if labels else None,
        is_reviewed=labels.get("state") == "reviewed",
        is_corrected=labels.get("state", "unseen") != "unseen" or bool(labels.get("proposed")),
        has_kept=bool(row.get("kept")),
    )


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all bytes; the system may take them in pieces."""
    while data:
        data = data[file.write(data) :]
