"""Vectors of names on the disk: one SQLite file for each CLIP, a row for each name.

SQLite writes a batch of rows whole or not at all, also when several programs use one file. Every
row carries a digest, so a row that was damaged is made again and never used.

What `nano` says of the shipped vocabularies comes with the package, in files of the same names, so
that a machine without a cache need not ask the text tower (`recipes/nano/making/words.py`).
"""

import hashlib
import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parents[1] / "weights" / "words"
PATIENCE = 30.0  # seconds to wait for another program that writes to the same file

Vector = NDArray[np.float32]


def read_vectors(path: Path, keys: Collection[bytes], size: int) -> dict[bytes, Vector]:
    """Return the kept vectors float32 [size], by their keys; those that are not kept are missing.

    A file that is damaged is removed.

    Args:
        keys: of the vectors that are wanted.
        size: D.
    """
    shipped = _shipped(path.stem)
    found = {key: shipped[key] for key in keys if key in shipped}
    left = set(keys) - set(found)
    return found | _cached(path, left, size) if left and path.is_file() else found


def _shipped(name: str) -> dict[bytes, Vector]:
    """Return the vectors that come with the package, by their keys."""
    path = SHIPPED / f"{name}.npz"
    if not path.is_file():
        return {}
    with np.load(path) as arrays:
        return dict(zip(map(bytes, arrays["keys"]), arrays["vectors"], strict=True))


def _cached(path: Path, keys: Collection[bytes], size: int) -> dict[bytes, Vector]:
    """Return the vectors in a file of the cache; arguments as of `read_vectors`."""
    found: dict[bytes, Vector] = {}
    damaged = 0
    try:
        with _opened(path) as rows:
            for key in keys:
                query = "SELECT vector, digest FROM vectors WHERE key = ?"
                row = rows.execute(query, (key,)).fetchone()
                if row is None:
                    continue
                vector, digest = row
                if len(vector) == 4 * size and digest == _digest(key, vector):
                    found[key] = np.frombuffer(vector, "<f4").astype(np.float32)
                else:
                    damaged += 1
    except sqlite3.OperationalError as error:
        log.warning("%s: cannot be read (%s); its names are encoded again", path, error)
    except sqlite3.DatabaseError as error:
        log.warning("%s is damaged (%s); its names are encoded again", path, error)
        _remove(path)
        return {}
    if damaged:
        log.warning("%s is damaged; %d of its names are encoded again", path, damaged)
    return found


def keep_vectors(path: Path, vectors: Mapping[bytes, Vector]) -> bool:
    """Add vectors to the file, all or none; return whether that was possible.

    A failure only costs time later.
    """
    rows = []
    for key, vector in vectors.items():
        data = vector.astype("<f4").tobytes()
        rows.append((key, data, _digest(key, data)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(path) as file:
            file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
    except (OSError, sqlite3.Error) as error:
        log.warning(
            "%s: cannot be written (%s); until then names are encoded anew in every run",
            path,
            error,
        )
        return False
    return True


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield the file, with its table; what the block wrote is kept if it ends well."""
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as file, file:
        file.execute(
            "CREATE TABLE IF NOT EXISTS vectors"
            " (key BLOB PRIMARY KEY, vector BLOB NOT NULL, digest BLOB NOT NULL)"
        )
        yield file


def _digest(key: bytes, vector: bytes) -> bytes:
    return hashlib.sha256(key + vector).digest()


def _remove(path: Path) -> None:
    """Remove a damaged file, and the unfinished transaction that may lie beside it."""
    for name in (path.name, f"{path.name}-journal"):
        try:
            path.with_name(name).unlink(missing_ok=True)
        except OSError as error:
            log.debug("%s stays (%s)", name, error)
