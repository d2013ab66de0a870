"""The folder that an export writes: what it wrote for each image, so that the next one is short."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError

from frozenseg_label.errors import ImageError, RunError
from frozenseg_label.files import (
    PREFIX,
    atomic_path,
    atomic_stream,
    atomic_write,
    explained,
    make_folder,
    mark_folder,
    read_regular,
    refuse_links,
    remove_leftovers,
)
from frozenseg_label.runs.layout import checked_name
from frozenseg_label.runs.opening import hold_lock

if TYPE_CHECKING:
    from frozenseg_label.exchange.export_labels import PictureMode

LOCK = ".frozenseg-lock"
RECORD = ".frozenseg-export.jsonl"  # the format, then a row for each image; the last row counts


Sent = tuple[int, int]  # id and area of a segment that was asked for


class _Head(BaseModel):
    form: str


class _Row(BaseModel):
    """What was written for one image, and from what; `image` "" means: for all of them.

    A file about some images has a row, too, under its own name.
    """

    model_config = ConfigDict(frozen=True)
    image: str
    key: str
    files: tuple[str, ...]
    sent: tuple[Sent, ...] | None = None  # None: all segments were asked for


class ExportFolder:
    """An open export folder; `open` makes one.

    Attributes:
        path: of the folder.
        removed: number of files of an earlier export that were removed.
    """

    def __init__(self, path: Path, form: str, before: dict[str, _Row], record: BinaryIO) -> None:
        self.path = path
        self.removed = 0
        self._form = form
        self._before = before
        self._record = record
        self._now: dict[str, _Row] = {}
        self._shared: list[str] = []

    @classmethod
    @contextmanager
    def open(cls, path: Path, form: str) -> Iterator["ExportFolder"]:
        """Yield the folder; at the end, files of earlier exports that nobody wants are removed.

        RunError: it has files of others, or an export in another format, or another program writes
        an export there.
        """
        refuse_links(path, RECORD)
        _refuse_others(path)
        mark_folder(path)
        with hold_lock(path, LOCK):
            before = _read_record(path, form)
            if not (path / RECORD).exists():
                atomic_write(path / RECORD, _line(_Head(form=form)))
            with explained(path / RECORD):
                files = [file for row in before.values() for file in row.files]
                for parent in {_below(path, file).parent for file in files}:
                    remove_leftovers(parent)
                remove_leftovers(path)
                record = (path / RECORD).open("ab")
            with record:
                folder = cls(path, form, before, record)
                yield folder
            folder._finish()

    def keeps(self, image: str, key: str) -> bool:
        """Return whether the files of an image are there already, and then keep them."""
        row = self._before.get(image)
        if row is None or row.key != key:
            return False
        if not all((self.path / file).is_file() for file in row.files):
            return False
        self._now[image] = row
        return True

    def write(
        self,
        image: str,
        key: str,
        files: Iterable[tuple[str, bytes]],
        *more: str,
        sent: tuple[Sent, ...] | None = None,
    ) -> None:
        """Write the files of an image.

        Args:
            key: of all that they are made from.
            files: paths in this folder, and bytes.
            more: files of the image that were written already.
            sent: the segments that were asked for; None: all.
        """
        written = list(more)
        for file, data in files:
            atomic_write(_below(self.path, file), data, lasting=False)
            written.append(file)
        self._now[image] = _Row(image=image, key=key, files=tuple(written), sent=sent)
        with explained(self.path / RECORD):
            self._record.write(b"\n" + _line(self._now[image]))  # the line before may be torn
            self._record.flush()

    def write_shared(self, file: str, data: bytes) -> None:
        """Write a file that belongs to all images."""
        atomic_write(self.claim(file), data)

    def claim(self, file: str) -> Path:
        """Return where to write a file that belongs to all images."""
        self._shared.append(file)
        return self.place_of(file)

    def place_of(self, file: str) -> Path:
        """Return where a file of the export goes; RunError where a folder there is a link."""
        return _below(self.path, file)

    def take_picture(self, source: Path, file: str, mode: "PictureMode") -> None:
        """Copy or link a picture; one that is there already is left as it is."""
        target = _below(self.path, file)
        try:
            status = source.stat()
        except OSError as error:
            raise ImageError(f"{source}: cannot be read, {error.strerror}; restore it") from error
        with explained(target):
            if mode == "link":
                _link(source.resolve(), target)
            elif not _is_copy(target, status):
                with atomic_path(target, lasting=False) as temporary:
                    shutil.copyfile(source, temporary)
                    os.utime(temporary, ns=(status.st_mtime_ns, status.st_mtime_ns))

    def _finish(self) -> None:
        """Remove what this export did not write, and write the record anew."""
        shared = _Row(image="", key="", files=tuple(self._shared))
        rows = [*self._now.values(), shared]
        wanted = {file for row in rows for file in row.files}
        before = {file for row in self._before.values() for file in row.files}
        for file in before - wanted:
            path = _below(self.path, file)
            with explained(path):
                if os.path.lexists(path):
                    path.unlink()
                    self.removed += 1
        with atomic_stream(self.path / RECORD) as record:
            record.write(_line(_Head(form=self._form)))
            for row in rows:
                record.write(_line(row))


def _below(folder: Path, file: str) -> Path:
    """Return the path of a file in the export; RunError where a folder on its way is a link.

    The file itself may be one: a picture.
    """
    parent, _, _ = checked_name(file).rpartition("/")
    if parent:
        refuse_links(folder, parent)
    return folder / file


def sent_segments(labels: Path, exported: Path | None = None) -> dict[str, frozenset[Sent]]:
    """Return id and area of the segments of images of which an export has left out others.

    Args:
        labels: that came back: a file, or a folder; what tells it is there or beside it.
        exported: the folder of the export, if it is elsewhere. RunError: it is none.
    """
    folders = [labels, labels.parent] if exported is None else [exported]
    found = next((folder for folder in folders if (folder / RECORD).is_file()), None)
    if found is not None:
        _, rows = _rows_of(found / RECORD)
        return {row.image: frozenset(row.sent) for row in rows.values() if row.sent is not None}
    if exported is not None:
        raise RunError(f"{exported}: no export was written there; name the folder of one")
    return {}


def _refuse_others(path: Path) -> None:
    """Raise RunError where a folder has files, and none of an export."""
    if (path / RECORD).is_file() or not path.exists():
        return
    if not path.is_dir() or not all(file.name.startswith(PREFIX) for file in path.iterdir()):
        raise RunError(f"{path}: is not empty, and no export was written there; name a new folder")


def _read_record(path: Path, form: str) -> dict[str, _Row]:
    """Return the last row of each image; RunError where the folder is not for this export."""
    if not (path / RECORD).is_file():
        return {}
    written, rows = _rows_of(path / RECORD)
    if written != form:
        raise RunError(f"{path}: holds an export to {written}; name another folder for {form}")
    return rows


def _rows_of(record: Path) -> tuple[str, dict[str, _Row]]:
    """Return the format of an export, and the last row of each image."""
    head, *lines = read_regular(record, RunError).splitlines()
    try:
        written = _Head.model_validate_json(head).form
    except ValidationError as error:
        raise RunError(f"{record}: is damaged; name a new folder") from error
    rows = {}
    for line in lines:
        try:
            row = _Row.model_validate(json.loads(line))
            for file in row.files:
                checked_name(file)
        except ValueError:  # torn by a killed export; its files are written again
            continue
        rows[row.image] = row
    return written, rows


def _line(row: BaseModel) -> bytes:
    return json.dumps(row.model_dump()).encode() + b"\n"  # names that are no Unicode are escaped


def _is_copy(target: Path, status: os.stat_result) -> bool:
    try:
        there = target.lstat()
    except OSError:
        return False
    return (there.st_size, there.st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def _link(source: Path, target: Path) -> None:
    """Make `target` a hard link, or a symbolic one where the file system refuses the former.

    Hard links work on NFS and on shares of Windows, where symbolic ones need a right of their own;
    symbolic ones work from one file system to another.
    """
    make_folder(target.parent)
    if target.exists() and target.samefile(source):
        return
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        target.symlink_to(source)
