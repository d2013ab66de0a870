"""Tensors that take long to compute, kept on disk by a key and filled in before the first step."""

import hashlib
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from frozenseg_label.checkpoints.tensor_file import write_tensors
from frozenseg_label.errors import FormatError, ImageError, TrainingError
from frozenseg_label.files import ABANDONED, free_bytes, remove_leftovers
from frozenseg_label.progress_bar import shown

CHECKSUM = "crc32"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TensorCache:
    """A folder of safetensors files, each with a checksum; several trainings may share it.

    Attributes:
        folder: made when the first file is written.
    """

    folder: Path

    def has(self, key: str) -> bool:
        """Say whether there is a file of this key, whole or damaged."""
        return self._path(key).is_file()

    def read(self, key: str) -> dict[str, Tensor] | None:
        """Return the tensors of a key; None if its file is missing or damaged (then removed)."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                promised = (file.metadata() or {}).get(CHECKSUM)
            tensors = load_file(path)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            self._remove(path, f"{error}")
            return None
        if promised != _checksum(tensors):
            self._remove(path, "its checksum is wrong")
            return None
        return tensors

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors in a file that appears whole or not at all."""
        write_tensors(self._path(key), tensors, {CHECKSUM: _checksum(tensors)})

    def announce(self, what: str, bytes_: int) -> None:
        """Log how much will be written; raise TrainingError if the disk does not have the room."""
        free = free_bytes(self.folder)
        size = f"{max(bytes_ / 1e9, 0.01):.2f} GB"
        message = f"{what}: about {size} in {self.folder} ({free / 1e9:.0f} GB free)"
        log.info("%s", message)
        if bytes_ > free:
            raise TrainingError(
                f"{message}; make room, name another folder with --cache-folder, or give "
                "--set cache=none"
            )

    def remove_leftovers(self) -> None:
        """Remove what killed trainings left half written."""
        for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
            remove_leftovers(folder, unchanged_for=ABANDONED)

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name[2:34]}.safetensors"

    def _remove(self, path: Path, reason: str) -> None:
        log.warning("%s: damaged (%s); it is made again", path, reason)
        path.unlink(missing_ok=True)


@runtime_checkable
class CachedSource(Protocol):
    """Images whose tensors are kept by a key."""

    @property
    def cache(self) -> TensorCache | None:
        """Return where they are kept; None if they are made anew each time."""
        ...

    def __len__(self) -> int: ...

    def key(self, index: int, mirrored: bool) -> str:
        """Return the key of an image, or of its mirror image."""
        ...

    def bytes_of(self, index: int) -> int:
        """Estimate the size of an image's file."""
        ...

    def keep(self, index: int, mirrored: bool) -> None:
        """Put the tensors of an image into the cache, if they are missing there."""
        ...


def fill_cache(
    source: CachedSource,
    *,
    mirrored: bool,
    process: int = 0,
    processes: int = 1,
    progress: bool = False,
) -> None:
    """Put all images of a source into its cache; log how much will be written before it is.

    Args:
        mirrored: their mirror images, too.
        process, processes: number of this process, from 0, and how many there are; each fills its
            share.
    """
    cache = source.cache
    if cache is None:
        return
    if process == 0:
        cache.remove_leftovers()
    wanted = [(i, m) for i in range(len(source)) for m in ((False, True) if mirrored else (False,))]
    missing = [(i, m) for i, m in wanted if not cache.has(source.key(i, m))]
    if not missing:
        return
    if process == 0:
        total = sum(source.bytes_of(i) for i, _ in missing)
        cache.announce(f"{len(missing)} of {len(wanted)} images to be kept", total)
    share = missing[process::processes]
    for index, mirror in shown(share, show=progress):
        try:
            source.keep(index, mirror)
        except (ImageError, FormatError) as error:  # the training loop names and counts it
            log.debug("not kept: %s", error)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    value = 0
    for key in sorted(tensors):
        tensor = tensors[key].contiguous().reshape(-1)
        value = zlib.crc32(key.encode(), value)
        value = zlib.crc32(tensor.view(torch.uint8).numpy().data, value)
    return f"{value:08x}"
