"""Tensors that are dear to compute, kept on disk by a key, with a checksum."""

import hashlib
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from frozenseg_label.checkpoints.tensor_file import write_tensors
from frozenseg_label.errors import TrainingError
from frozenseg_label.files import free_bytes

CHECKSUM = "crc32"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TensorCache:
    """A folder of safetensors files; several trainings may share it.

    Attributes:
        folder: made when something is written.
    """

    folder: Path

    def has(self, key: str) -> bool:
        """Whether there is a file of this key, be it whole or not."""
        return self._path(key).is_file()

    def read(self, key: str) -> dict[str, Tensor] | None:
        """Return the tensors of a key; None where there are none, or damaged ones, now removed."""
        path = self._path(key)
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
        """Keep tensors, whole or not at all."""
        write_tensors(self._path(key), tensors, {CHECKSUM: _checksum(tensors)})

    def announce(self, what: str, bytes_: int) -> None:
        """Say how much is about to be written; TrainingError where the disk has no room for it."""
        free = free_bytes(self.folder)
        size = f"{max(bytes_ / 1e9, 0.01):.2f} GB"
        told = f"{what}: about {size} in {self.folder} ({free / 1e9:.0f} GB free)"
        log.info("%s", told)
        if bytes_ > free:
            raise TrainingError(
                f"{told}; make room, name another folder with --cache-folder, or set cache=none"
            )

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name[2:34]}.safetensors"

    def _remove(self, path: Path, reason: str) -> None:
        log.warning("%s: damaged (%s); it is made again", path, reason)
        path.unlink(missing_ok=True)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    value = 0
    for key in sorted(tensors):
        tensor = tensors[key].contiguous().reshape(-1)
        value = zlib.crc32(key.encode(), value)
        value = zlib.crc32(tensor.view(torch.uint8).numpy().data, value)
    return f"{value:08x}"
