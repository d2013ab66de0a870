"""One program at a time writes to a run folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from frozenseg_label.errors import RunError
from frozenseg_label.files import explained

LOCK_FILE = "lock"


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Keep the folder for this process; RunError at once if another one has it.

    The system frees the lock of a process that died. The file stays and holds the number of the
    process that has the lock.
    """
    path = folder / LOCK_FILE
    holder = path.read_text(errors="replace").strip() if path.is_file() else ""
    lock = FileLock(path)
    with explained(path):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = f"process {holder}" if holder else "another process"
            raise RunError(
                f"{folder} is in use by {who}; wait until it is done, or name another folder"
            ) from None
    try:
        with explained(path):
            path.write_text(f"{os.getpid()}\n")
        yield
        path.write_text("")
    finally:
        lock.release()
