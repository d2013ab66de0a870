"""What people rejected, kept once in `rejected.jsonl`: rows of the journal only say where it is.

The mask of a rejected segment may take more room than all else that a row says, and every later row
of the image says it again. The file is append-only, like the journal: a mask is on the disk before
the row that names it, so a killed program leaves at most one that no row names.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from frozenseg_label.documents import parse_json
from frozenseg_label.errors import RunError
from frozenseg_label.files import explained, refuse_links, sync_folder

Reference = dict[str, Any]
"""Of a segment in the file: `sha256` of its line (hex), `offset` and `length` in bytes."""


class RejectedMasks:
    """The file beside one journal; it is opened once, when the first mask is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: FileIO | None = None

    def keep(
        self, rejected: Iterable[Mapping[str, Any]], before: Iterable[Mapping[str, Any]]
    ) -> list[Reference]:
        """Write segments that are not there yet; return where all of them are.

        Args:
            rejected: as the journal would have them.
            before: references in the last row of the image; segments themselves, in rows of earlier
                versions, are passed over.
        """
        there = {ref["sha256"]: dict(ref) for ref in before if _is_reference(ref)}
        lines = [json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rejected]
        hashes = [hashlib.sha256(line).hexdigest() for line in lines]
        new = [place for place, sha256 in enumerate(hashes) if sha256 not in there]
        if new:
            refuse_links(self.path.parent, self.path.name)
            with explained(self.path), self.path.open("ab") as file:
                for place in new:
                    offset, length = file.tell(), len(lines[place])
                    file.write(lines[place])
                    sha256 = hashes[place]
                    there[sha256] = {"sha256": sha256, "offset": offset, "length": length}
                file.flush()
                os.fsync(file.fileno())
                sync_folder(self.path.parent)
        return [there[sha256] for sha256 in hashes]

    def put_back(self, row: Any) -> Any:  # noqa: ANN401 - whatever a line of the journal holds
        """Return a row of the journal with segments in place of the references.

        RunError: the file does not have them.
        """
        labels = row.get("labels") if isinstance(row, dict) else None
        if not isinstance(labels, dict):
            return row
        named = labels.get("rejected")
        if not isinstance(named, list) or not named:
            return row
        rejected = [self._read(ref) if _is_reference(ref) else ref for ref in named]
        return row | {"labels": labels | {"rejected": rejected}}

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()

    def _read(self, reference: Reference) -> Any:  # noqa: ANN401 - the row checks it
        try:
            with self._lock:
                if self._file is None:
                    self._file = FileIO(self.path)
                self._file.seek(reference["offset"])
                line = self._file.read(reference["length"])
        except (OSError, LookupError, TypeError, ValueError):
            line = b""
        if hashlib.sha256(line).hexdigest() != reference["sha256"]:
            raise RunError(
                f"{self.path}: does not have a rejected segment that the journal beside it names; "
                "restore the file"
            )
        return parse_json(line, f"{self.path}", RunError)


def _is_reference(value: object) -> bool:
    return isinstance(value, dict) and "sha256" in value
