"""The state of a training on disk: everything that a later start needs to go on bit for bit.

A state is a folder `state-<steps done>` with the trained weights, AdamW's memory and what else the
training remembers; it appears whole or not at all.
"""

import json
import os
import shutil
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from frozenseg_label.checkpoints.header import is_frozen
from frozenseg_label.errors import TrainingError
from frozenseg_label.model.frozenseg import FrozenSeg

WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.pt"
MEMORY = "memory.json"


def trained_weights(model: FrozenSeg) -> dict[str, Tensor]:
    """Return the weights that training changes: all but the two frozen encoders."""
    return {k: v for k, v in model.state_dict().items() if not is_frozen(k)}


def save_state(
    folder: Path,
    steps_done: int,
    model: FrozenSeg,
    optimizer: Optimizer,
    memory: Mapping[str, object],
) -> Path:
    """Write a state and remove older ones; TrainingError, and the older ones stay, if it fails."""
    path = folder / f"state-{steps_done:08d}"
    if path.exists():  # stopped, started again and stopped at once, or just saved: the same state
        return path
    outdated = [*folder.glob(".state-*.tmp"), *states(folder)]
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True)
        weights = {k: v.contiguous() for k, v in trained_weights(model).items()}
        save_file(weights, temporary / WEIGHTS)
        torch.save(optimizer.state_dict(), temporary / OPTIMIZER)
        (temporary / MEMORY).write_text(json.dumps(memory) + "\n", encoding="utf-8")
        for file in temporary.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch.save: RuntimeError
        shutil.rmtree(temporary, ignore_errors=True)
        kept = f"; {states(folder)[-1]} is kept" if states(folder) else ""
        raise TrainingError(
            f"{path} cannot be written ({error}){kept}; make room there and go on with --resume"
        ) from error
    for old in outdated:
        shutil.rmtree(old)
    return path


def load_newest_state(
    folder: Path, model: FrozenSeg, optimizer: Optimizer, memory: MutableMapping[str, object]
) -> int:
    """Fill all three from the newest state; return the steps done, 0 without a state."""
    found = states(folder)
    if not found:
        return 0
    load_trained_weights(found[-1] / WEIGHTS, model)
    # Through main memory, so that a state goes on on another device than it was made on.
    state = torch.load(found[-1] / OPTIMIZER, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(state)
    memory.update(json.loads((found[-1] / MEMORY).read_text(encoding="utf-8")))
    return steps_done(folder)


def load_trained_weights(path: Path, model: FrozenSeg) -> None:
    """Fill the trained part of a model; the frozen encoders stay as they are."""
    frozen = {k: v for k, v in model.state_dict().items() if is_frozen(k)}
    model.load_state_dict(frozen | load_file(path))


def steps_done(folder: Path) -> int:
    """Return the steps of the newest state, 0 without one."""
    found = states(folder)
    return int(found[-1].name.removeprefix("state-")) if found else 0


def states(folder: Path) -> list[Path]:
    """Return the states in a folder, oldest first."""
    return sorted(folder.glob("state-*"))
