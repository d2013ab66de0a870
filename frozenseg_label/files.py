"""Files that appear whole or not at all: temporary name in the same folder, fsync, rename.

A killed program leaves at most files whose name starts with `.frozenseg-`: `.tmp` ones are worth
nothing; `.staged` ones are whole and wait for a journal row that commits them (see `runs`).
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from frozenseg_label.errors import RunError

PREFIX = ".frozenseg-"
TEMPORARY_SUFFIX = ".tmp"
STAGED_SUFFIX = ".staged"

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def atomic_write(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write a file that nobody ever sees in part.

    Args:
        lasting: the file is there after a power cut, too; else it may be missing then, not torn.
    """
    with atomic_stream(path, lasting=lasting) as file:
        file.write(data)


@contextmanager
def atomic_stream(path: Path, *, lasting: bool = True) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` if the block ends well, and vanishes if it does not.

    Args:
        lasting: as of `atomic_write`.
    """
    temporary = path.with_name(f"{PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    with explained(path):
        make_folder(path.parent)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if lasting:
            sync_folder(path.parent)


def stage(path: Path, key: str, data: bytes) -> Path:
    """Write the data beside `path`, durable, under a name made from `key`; `publish` comes next."""
    staged = path.with_name(f"{PREFIX}{key}{STAGED_SUFFIX}")
    with explained(path):
        make_folder(path.parent)
        _refuse_folder(path)
        try:
            with staged.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            staged.unlink(missing_ok=True)
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


def free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is, or would be made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in a folder survive a power cut."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot sync folders and does not need to
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into a RunError that says what to do.

    The OSError stays its `__cause__`.
    """
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno in _NO_ROOM:
            remedy = "make room there and give the same command again; what was written is kept"
        else:
            remedy = "see that files can be written there, and give the same command again"
        raise RunError(f"{path}: cannot be written, {reason}; {remedy}") from error
