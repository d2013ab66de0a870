"""Opening a run folder: is it ours, is it free, and does it agree with what is asked?"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from frozenseg_label.errors import RunError
from frozenseg_label.files import PREFIX, explained, make_folder, refuse_links
from frozenseg_label.runs.commit import recover
from frozenseg_label.runs.derived_files import write_failures
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.layout import JOURNAL, LOCK_FILE, MANIFEST, PANOPTIC
from frozenseg_label.runs.manifest import Manifest, read_manifest, write_manifest

OTHER_FOLDER = "wait until it is done, or name another folder"
OWN_FOLDER = "give each shard a folder of its own, and join them with `annotate --merge`"


@contextmanager
def open_to_write(
    folder: Path, manifest: Manifest, update: bool
) -> Iterator[tuple[Manifest, Journal]]:
    """Yield the manifest and the journal of a folder, locked until the block ends."""
    _refuse_foreign(folder)
    with explained(folder):
        make_folder(folder)
    with hold_lock(folder, advice=OTHER_FOLDER if manifest.shard is None else OWN_FOLDER):
        before = _manifest_of_rows(folder)
        _refuse_other_shard(folder, before, manifest)
        if before is not None and not update:
            _refuse_differences(folder, before, manifest)
        with _mended_journal(folder) as journal:
            if before is not None:
                _refuse_lost_classes(folder, journal, before, manifest)
                manifest = _taken_up(before, manifest)
            if manifest != before:
                with explained(folder):
                    make_folder(folder / PANOPTIC)
                write_manifest(folder, manifest)
            yield manifest, journal


@contextmanager
def open_to_correct(folder: Path) -> Iterator[tuple[Manifest, Journal]]:
    """Yield what `open_to_write` does, of a folder that is there and whose manifest stays."""
    refuse_no_run(folder)
    with hold_lock(folder):
        manifest = read_manifest(folder)
        with _mended_journal(folder) as journal:
            yield manifest, journal


def open_to_preview(folder: Path, manifest: Manifest, update: bool) -> tuple[Manifest, Journal]:
    """Return what `open_to_write` would yield, to read only; RunError where it would refuse."""
    _refuse_foreign(folder)
    journal = Journal(folder / JOURNAL, writable=False)
    try:
        before = _manifest_of_rows(folder)
        _refuse_other_shard(folder, before, manifest)
        if before is not None:
            if not update:
                _refuse_differences(folder, before, manifest)
            _refuse_lost_classes(folder, journal, before, manifest)
            manifest = _taken_up(before, manifest)
    except BaseException:
        journal.close()
        raise
    return manifest, journal


def open_to_read(folder: Path) -> tuple[Manifest, Journal]:
    """Return the present manifest and journal of a run folder; nothing is locked or mended."""
    refuse_no_run(folder)
    return read_manifest(folder), Journal(folder / JOURNAL, writable=False)


@contextmanager
def hold_lock(folder: Path, file: str = LOCK_FILE, advice: str = OTHER_FOLDER) -> Iterator[None]:
    """Keep the folder for this process; RunError at once if another one has it.

    The system frees the lock of a process that died. The file stays and holds the number of the
    process that has the lock.

    Args:
        file: name of the lock in the folder.
        advice: what to do where another process has it.
    """
    path = folder / file
    refuse_links(folder, file)
    holder = path.read_text(errors="replace").strip() if path.is_file() else ""
    lock = FileLock(path)
    with explained(path):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = f"process {holder}" if holder else "another process"
            raise RunError(f"{folder} is in use by {who}; {advice}") from None
    try:
        with explained(path):
            path.write_text(f"{os.getpid()}\n")
        yield
        path.write_text("")
    finally:
        lock.release()


@contextmanager
def _mended_journal(folder: Path) -> Iterator[Journal]:
    """Yield the journal, open to write, once a killed run's leftovers are put in order."""
    journal = Journal(folder / JOURNAL, writable=True)
    try:
        recover(folder, journal)
        write_failures(folder, journal)  # a kill may have torn its last row
        yield journal
    finally:
        journal.close()


def _manifest_of_rows(folder: Path) -> Manifest | None:
    """Return the manifest of a folder; None where none is there, or no image has a row yet.

    A start that failed, on a device that is not here for instance, binds nobody to its words.
    """
    journal = folder / JOURNAL
    has_rows = journal.exists() and journal.stat().st_size > 0
    return read_manifest(folder) if has_rows and (folder / MANIFEST).exists() else None


def refuse_no_run(folder: Path) -> None:
    """Raise RunError where a folder is no run folder."""
    if not folder.exists():
        raise RunError(f"{folder}: there is no such folder; name the output of `annotate`")
    if not (folder / MANIFEST).exists():
        raise RunError(
            f"{folder} is no run folder: {MANIFEST} is missing; name the output of `annotate`"
        )


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; name a folder for the labels")
    if not folder.is_dir() or (folder / MANIFEST).exists():
        return
    # A run that was killed at its very start leaves only these.
    strangers = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in (LOCK_FILE, JOURNAL, PANOPTIC) and not path.name.startswith(PREFIX)
    )
    if strangers:
        raise RunError(
            f"{folder} is no run folder: it has {strangers[0]!r}, but no {MANIFEST}; "
            "name a new or an empty folder"
        )


def _refuse_other_shard(folder: Path, before: Manifest | None, manifest: Manifest) -> None:
    """Raise RunError where two shards share a folder: network shares may not know locks."""
    there = None if before is None else before.shard
    if there is not None and manifest.shard not in (None, there):
        raise RunError(f"{folder} holds shard {there}, not {manifest.shard}; {OWN_FOLDER}")


def _refuse_differences(folder: Path, before: Manifest, manifest: Manifest) -> None:
    differences = before.differences(manifest)
    if differences:
        raise RunError(
            f"{folder} was made with other {', other '.join(differences)}; give --update to "
            "replace what nobody has corrected, or name another folder"
        )


def _refuse_lost_classes(
    folder: Path, journal: Journal, before: Manifest, manifest: Manifest
) -> None:
    if before.vocabulary.fingerprint == manifest.vocabulary.fingerprint:
        return
    vocabulary = manifest.vocabulary.vocabulary()
    lost: dict[str, str] = {}
    for entry in journal.entries():
        for name in entry.labels.lost_classes_of_people(vocabulary) if entry.labels else ():
            lost.setdefault(name, entry.image)
    if lost:
        name, image = next(iter(lost.items()))
        raise RunError(
            f"{folder}: accepted or corrected segments have classes that are missing from the "
            f"vocabulary {manifest.vocabulary.name}: {', '.join(sorted(lost))} "
            f"({name} in {image}); add them to the vocabulary, as classes or as synonyms, or name "
            "another folder"
        )


def _taken_up(before: Manifest, manifest: Manifest) -> Manifest:
    """Return the manifest of a folder that goes on; the very same as before if nothing changed."""
    kept = {
        "root": before.root,
        "created": before.created,
        "updated": before.updated,
        "assembled": before.assembled,
        "totals": before.totals,
        "missing_images": before.missing_images,
        "precisions": tuple(dict.fromkeys((*before.precisions, *manifest.precisions))),
    }
    taken_up = manifest.model_copy(update=kept)
    if taken_up == before:
        return before
    update: dict[str, object] = {"updated": datetime.now(UTC)}
    # Colours may differ even where the labels are alike.
    if (before.vocabulary, before.warnings) != (manifest.vocabulary, manifest.warnings):
        update["assembled"] = 0
    return taken_up.model_copy(update=update)
