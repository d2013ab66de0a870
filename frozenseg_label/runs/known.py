"""What memory keeps of the journal while a run folder is open: a small row for each image.

Opening a folder reads the journal once, with a parser that skips what is not needed here.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
from typing_extensions import TypedDict

from frozenseg_label.errors import RunError
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.runs.journal_rows import Event
from frozenseg_label.runs.layout import checked_name, long_png_name


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
    etag: str | None
    sha256: str | None
    run: str | None
    file: str | None
    png_size: int | None
    is_reviewed: bool
    is_corrected: bool
    has_kept: bool

    @property
    def place(self) -> RowPlace:
        """Return where the row is."""
        return RowPlace(self.offset, self.length)


class _MapFacts(TypedDict, total=False):
    png: str
    size: int | None


class _LabelFacts(TypedDict, total=False):
    file: str
    state: str
    current: _MapFacts
    proposed: _MapFacts | None


class _RowFacts(TypedDict, total=False):
    """What `known_of` reads of a row; all else is skipped, which is most of it."""

    event: str
    image: str
    size: int
    mtime_ns: int
    etag: str | None
    sha256: str | None
    run: str | None
    kept: str | None
    labels: _LabelFacts | None


_FACTS = msgspec.json.Decoder(_RowFacts)


def replay(path: Path) -> tuple[dict[str, Known], int]:
    """Return the last row of each image, and where whole rows end."""
    known: dict[str, Known] = {}
    end = 0
    if not path.exists():
        return known, end
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            row = read_facts(line)
            if row is None:
                if file.readline():
                    raise RunError(
                        f"{path}, line {number}: no whole journal row; delete that line, "
                        "and its image is labelled again"
                    )
                break
            try:
                known[checked_name(row["image"])] = known_of(row, end, len(line))
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


def read_facts(line: bytes) -> Mapping[str, Any] | None:
    """Return the row in a line, as far as memory keeps it; None if the line is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        return _FACTS.decode(line)
    except msgspec.MsgspecError:  # torn, or with the escapes of a file name that is no Unicode
        pass
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def known_of(row: Mapping[str, Any], offset: int, length: int) -> Known:
    """Return what is kept of a row.

    Args:
        offset, length: as in `Known`.
    """
    labels = row.get("labels") or {}
    return Known(
        offset=offset,
        length=length,
        event=cast(Event, sys.intern(row["event"])),  # few texts, of many rows
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        etag=row.get("etag"),
        sha256=row.get("sha256"),
        run=sys.intern(row["run"]) if row.get("run") else None,
        file=labels.get("file", long_png_name(row["image"])) if labels else None,
        png_size=labels["current"].get("size") if labels else None,
        is_reviewed=labels.get("state") == "reviewed",
        is_corrected=labels.get("state", "unseen") != "unseen" or bool(labels.get("proposed")),
        has_kept=bool(row.get("kept")),
    )
