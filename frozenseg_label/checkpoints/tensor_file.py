"""Tensors in safetensors files, and the SHA-256 that tells whether they are the right ones."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from frozenseg_label.checkpoints.header import read_header
from frozenseg_label.errors import CheckpointError
from frozenseg_label.files import atomic_path


def read_tensors(path: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, Tensor]:
    """Read a safetensors file, floats as float32.

    Tensors that are float32 already are mapped, not copied: processes that use the same file share
    its pages.

    Args:
        wanted: which tensors, by name; others are not read.
    """
    read_header(path)  # raises an error that says what another kind of file is
    with safe_open(path, framework="pt") as file:
        state = {key: _widened(file.get_tensor(key)) for key in file.keys() if wanted(key)}  # noqa: SIM118
    refuse_damaged_numbers(state, f"{path}")
    return state


def refuse_damaged_numbers(state: Mapping[str, Tensor], source: str) -> None:
    """Raise CheckpointError where weights are infinite or no number: they would label nothing.

    Args:
        source: where the tensors come from, for messages.
    """
    for key, value in state.items():
        if not value.is_floating_point():
            continue
        numbers = _widened(value.detach()).numpy()
        with np.errstate(all="ignore"):
            total = np.add.reduce(numbers, axis=None)  # a sum shows both, and takes no memory
        # The sum of numbers may be too large itself.
        if not np.isfinite(total) and not np.isfinite(numbers).all():
            raise CheckpointError(
                f"{source}: {key} holds numbers that are infinite or no number (NaN), so it would "
                "label nothing; take weights of an earlier step, or fetch or copy the file again"
            )


def write_tensors(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all."""
    tensors = {key: value.contiguous() for key, value in state.items()}
    with atomic_path(path, error=CheckpointError) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # its text ends with the system's "(os error 28)"
            number = re.search(r"os error (\d+)", f"{error}")
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code)) from error


def hash_tensors(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and float32 (or integer) values, sorted by name."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = _widened(state[key].detach().cpu())
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _widened(value: Tensor) -> Tensor:
    """Return floats as float32, anything else unchanged."""
    return value.float() if value.is_floating_point() else value
