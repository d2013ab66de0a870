"""Committing an image, and taking up a run folder after a kill.

PNGs are staged first (whole, on the disk, under another name), then a row of the journal commits
them, then they get their names. A program that dies between the row and the renaming leaves a
staged file whose key and hash the row names: it gets its name when the folder is opened next. Every
other leftover belongs to no row and is removed.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from frozenseg_label.errors import RunError
from frozenseg_label.files import (
    PREFIX,
    STAGED_SUFFIX,
    TEMPORARY_SUFFIX,
    explained,
    publish,
    refuse_links,
    stage,
)
from frozenseg_label.runs.journal import EncodedRow, Journal
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.kept_files import is_kept
from frozenseg_label.runs.known import Known
from frozenseg_label.runs.layout import (
    PANOPTIC,
    PROPOSED,
    SEMANTIC,
    kept_path,
    staged_path,
    staging_key,
)

StagedFiles = Mapping[str, str]
"""SHA-256 (hex) of files that are staged, by path in the run folder."""


def committed_files(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the files that a row commits: path in the run folder, and SHA-256 of the content."""
    labels = entry.labels
    if labels is None:
        return
    if entry.kept is not None:
        yield kept_path(labels.file), entry.kept
    yield f"{PANOPTIC}/{labels.file}", labels.current.png
    if labels.proposed is not None:
        yield f"{PROPOSED}/{labels.file}", labels.proposed.png


def files_in(folder: Path) -> Iterator[str]:
    """Yield paths of all files in the folder and below, relative to it, with `/`."""
    for here, _, names in os.walk(folder):
        prefix = Path(here).relative_to(folder).as_posix()
        yield from (name if prefix == "." else f"{prefix}/{name}" for name in names)


def lacks_files(folder: Path, known: Known, *, semantic: bool, kept: bool) -> bool:
    """Return whether files of an image are missing, or its label PNG is not as long as written.

    Args:
        semantic: a semantic map is wanted.
        kept: proposals are wanted, unless a person has reviewed the image.
    """
    try:
        # As a text: with as many images as a folder may have, making paths takes longer than this.
        size = os.stat(f"{folder}/{PANOPTIC}/{known.file}").st_size  # noqa: PTH116
    except (OSError, ValueError):
        return True
    if known.png_size not in (None, size):
        return True
    if kept and not known.is_reviewed and not is_kept(folder, known):
        return True
    return semantic and not (folder / SEMANTIC / f"{known.file}").is_file()


def remove_file(folder: Path, path: str) -> None:
    """Remove a file of a run folder, if it is there; never through a link.

    Args:
        path: of the file in the folder, with `/`.
    """
    if os.path.lexists(folder / path):
        refuse_links(folder, path)
        with explained(folder / path):
            (folder / path).unlink()


def stage_files(folder: Path, files: Mapping[str, bytes]) -> StagedFiles:
    """Write files of a run under their staged names, all of them or none.

    Args:
        files: contents by path in the folder, those that `committed_files` says of the entry.

    Returns:
        SHA-256 (hex) by path, for `commit_entry`.
    """
    staged: dict[str, str] = {}
    try:
        for file, data in files.items():
            refuse_links(folder, file)
            digest = hashlib.sha256(data).hexdigest()
            stage(folder / file, staging_key(file, digest), data)
            staged[file] = digest
    except RunError:
        _unstage(folder, staged)
        raise
    return staged


def commit_entry(
    folder: Path,
    journal: Journal,
    row: Entry | EncodedRow,
    files: StagedFiles,
    *,
    durable: bool,
) -> None:
    """Append the row that names staged files: afterwards all of it counts, or nothing.

    Args:
        files: staged ones, those that `committed_files` says of the row.
        durable: all is on the disk when this returns. Else a power cut may cost the labels of the
            last seconds; the next plan finds their files missing, or their rows.
    """
    try:
        journal.append(row, durable=durable)
    except RunError:
        _unstage(folder, files)
        raise
    for file, digest in files.items():
        publish(staged_path(folder, file, digest), folder / file, lasting=durable)


def _unstage(folder: Path, files: StagedFiles) -> None:
    for file, digest in files.items():
        staged_path(folder, file, digest).unlink(missing_ok=True)


def recover(folder: Path, journal: Journal) -> None:
    """Finish what the journal commits and remove other leftovers; nobody else may be writing."""
    staged = []
    for file in files_in(folder):
        name = file.rpartition("/")[2]
        if name.startswith(PREFIX) and name.endswith(TEMPORARY_SUFFIX):
            with explained(folder / file):
                (folder / file).unlink()
        elif name.startswith(PREFIX) and name.endswith(STAGED_SUFFIX):
            staged.append(folder / file)
    if staged:
        _settle(folder, journal, staged)


def _settle(folder: Path, journal: Journal, staged: list[Path]) -> None:
    committed = {
        staging_key(file, png): (folder / file, png)
        for entry in journal.entries()
        for file, png in committed_files(entry)
    }
    for path in staged:
        key = path.name.removeprefix(PREFIX).removesuffix(STAGED_SUFFIX)
        target, png = committed.get(key, (None, ""))
        if target is not None and hashlib.sha256(path.read_bytes()).hexdigest() == png:
            publish(path, target)
        else:
            with explained(path):
                path.unlink()
