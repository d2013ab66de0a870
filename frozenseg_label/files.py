"""Files and folders that appear whole or not at all: temporary name beside them, fsync, rename.

A killed program leaves at most files and folders whose name starts with `.frozenseg-`: `.tmp` ones
are worth nothing; `.staged` ones are whole and wait for a journal row that commits them (see
`runs`). What cannot be written is an error of the kind that the caller names.
"""

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from frozenseg_label.errors import FrozenSegLabelError, RunError

PREFIX = ".frozenseg-"
MARKER = ".frozenseg-label"  # in folders that we write: their pictures are no photographs
TEMPORARY_SUFFIX = ".tmp"
ABANDONED = 3600.0  # seconds; nobody writes any longer a file that has not changed for so long
STAGED_SUFFIX = ".staged"

Kind = type[FrozenSegLabelError]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What network shares and FUSE say when they cannot sync a folder; they keep its files all the same.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def atomic_write(path: Path, data: bytes, *, lasting: bool = True, error: Kind = RunError) -> None:
    """Write a file that nobody ever sees in part.

    Args:
        lasting: the file is there after a power cut, too; else it may be missing then, not torn.
        error: kind of the error where it cannot be written.
    """
    with atomic_stream(path, lasting=lasting, error=error) as file:
        file.write(data)


@contextmanager
def atomic_stream(
    path: Path, *, lasting: bool = True, error: Kind = RunError
) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` if the block ends well, and vanishes if it does not.

    Args:
        lasting: as of `atomic_write`.
        error: likewise.
    """
    with atomic_path(path, lasting=lasting, error=error) as temporary, temporary.open("wb") as file:
        yield file


@contextmanager
def atomic_path(path: Path, *, lasting: bool = True, error: Kind = RunError) -> Iterator[Path]:
    """Yield the path of an empty file that becomes `path`: for libraries that want a name.

    Args:
        lasting: as of `atomic_write`.
        error: likewise.
    """
    temporary = _temporary(path)
    with explained(path, error):
        make_folder(path.parent)
        try:
            temporary.touch(exist_ok=False)
            usual = temporary.stat().st_mode  # some libraries would let nobody else read the file
            yield temporary
            if temporary.stat().st_mode != usual:
                temporary.chmod(usual)
            _sync_file(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if lasting:
            sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, *, error: Kind = RunError) -> Iterator[Path]:
    """Yield an empty folder that becomes `path`, with the files that the block writes into it.

    Args:
        error: as of `atomic_write`.
    """
    temporary = _temporary(path)
    with explained(path, error):
        make_folder(path.parent)
        try:
            temporary.mkdir()
            yield temporary
            for file in temporary.iterdir():
                _sync_file(file)
            sync_folder(temporary)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(path.parent)


def mark_folder(folder: Path, error: Kind = RunError) -> None:
    """Make a folder that no search for images enters.

    Args:
        error: kind of the error where that cannot be done.
    """
    with explained(folder, error):
        make_folder(folder)
        if not os.path.lexists(folder / MARKER):
            text = "frozenseg-label wrote this folder: no images to label here\n"
            (folder / MARKER).write_text(text)


def refuse_links(folder: Path, file: str, error: Kind = RunError) -> None:
    """Raise an error where a file in a folder of ours, or a folder above it, is a symbolic link.

    Writing through one would change what is elsewhere.

    Args:
        folder: of the run, training or export; it may be a link itself.
        file: path in that folder, with `/`.
        error: kind of the error.
    """
    place = folder
    for part in file.split("/"):
        place = place / part
        if os.path.islink(place):  # noqa: PTH114 - a name that is too long is no link, and no error
            raise error(
                f"{place}: is a symbolic link, and nothing is written through links in {folder}; "
                "put the file itself there"
            )


def remove_leftovers(folder: Path, *, unchanged_for: float = 0.0) -> None:
    """Remove what killed programs left half written directly in a folder.

    Args:
        unchanged_for: seconds; in folders that several programs share, a younger file may be one
            that another program is writing.
    """
    for path in folder.glob(f"{PREFIX}*{TEMPORARY_SUFFIX}"):
        if unchanged_for and time.time() - _changed_at(path) < unchanged_for:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _changed_at(path: Path) -> float:
    """Return when a file, or one directly in a folder, was written last; now if it is gone."""
    try:
        inside = path.iterdir() if path.is_dir() and not path.is_symlink() else ()
        return float(max(file.lstat().st_mtime for file in (path, *inside)))
    except OSError:
        return time.time()


def _temporary(path: Path) -> Path:
    return path.with_name(f"{PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def staged_name(path: Path, key: str) -> Path:
    """Return where `stage` writes a file."""
    return path.with_name(f"{PREFIX}{key}{STAGED_SUFFIX}")


def stage(path: Path, key: str, data: bytes) -> Path:
    """Write the data beside `path`, durable, under a name made from `key`; then call `publish`.

    Under that name it is whole at any moment, even where two programs stage the same file.
    """
    staged, temporary = staged_name(path, key), _temporary(path)
    with explained(path):
        make_folder(path.parent)
        _refuse_folder(path)
        try:
            temporary.write_bytes(data)
            _sync_file(temporary)
            temporary.replace(staged)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return staged


def publish(staged: Path, path: Path, *, lasting: bool = True) -> None:
    """Give a staged file its own name.

    Args:
        lasting: a power cut does not take the name back.
    """
    with explained(path):
        staged.replace(path)
        if lasting:
            sync_folder(path.parent)


def _refuse_folder(path: Path) -> None:
    """Raise OSError now where `publish` would do so later: name too long, or a folder's."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.stat().st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), f"{path}")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each of them durable."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def read_regular(path: Path, error: Kind, most: int = -1) -> bytes:
    """Return the content of a file that is a regular one: pipes and devices have no end.

    Args:
        error: kind of the error where it cannot be read.
        most: bytes to read from its beginning; -1: all.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "is a folder" if path.is_dir() else "is no regular file"
            raise error(f"{path}: cannot be read, it {what}; name a file")
        with path.open("rb") as file:
            return file.read(most)
    except OSError as refusal:
        reason = (refusal.strerror or f"{refusal}").lower()
        raise error(
            f"{path}: cannot be read, {reason}; name another file, or restore it"
        ) from refusal
    except ValueError as refusal:  # a name with NUL
        raise error(f"{path}: cannot be read, {refusal}; name another file") from refusal


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or would be made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in a folder survive a power cut."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot sync folders and does not need to
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path, error: Kind = RunError) -> Iterator[None]:
    """Turn the system's refusal to write `path` into an error that says what to do.

    The OSError is its `__cause__`.

    Args:
        error: kind of the error.
    """
    try:
        yield
    except OSError as refusal:
        reason = (refusal.strerror or str(refusal)).lower()
        if refusal.errno in _NO_ROOM:
            remedy = "make room there and give the same command again; what was written is kept"
        else:
            remedy = "see that files can be written there, and give the same command again"
        raise error(f"{path}: cannot be written, {reason}; {remedy}") from refusal
