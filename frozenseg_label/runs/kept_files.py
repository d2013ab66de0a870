"""The files below `kept/`: what a model saw in an image before any word, for `relabel`.

A file is committed by the row that names its hash, like a label PNG. It is of the picture that was
labelled then: a row of other labels of the same picture goes on naming it.
"""

import hashlib
from pathlib import Path

from frozenseg_label.errors import FormatError
from frozenseg_label.files import read_regular
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.known import Known
from frozenseg_label.runs.layout import kept_path, staged_path


def is_kept(folder: Path, known: Known) -> bool:
    """Return whether proposals of an image are kept in a run folder; the file is not read."""
    return known.has_kept and (folder / kept_path(f"{known.file}")).is_file()


def read_kept(folder: Path, entry: Entry) -> bytes:
    """Return the content of the file of proposals that a row names.

    FormatError: it names none, or the file cannot be read, or its hash is another one.
    """
    if entry.kept is None or entry.labels is None:
        raise FormatError(
            f"{entry.image}: no proposals are kept; label the image with --keep-proposals"
        )
    file = kept_path(entry.labels.file)
    staged = staged_path(folder, file, entry.kept)  # after a kill
    path = staged if staged.is_file() else folder / file
    content = read_regular(path, FormatError)
    if kept_hash(content) != entry.kept:
        raise FormatError(
            f"{path}: is not the file that was written here; label the image again with "
            "--keep-proposals"
        )
    return content


def kept_hash(content: bytes) -> str:
    """Return SHA-256 (hex) of the content of such a file."""
    return hashlib.sha256(content).hexdigest()
