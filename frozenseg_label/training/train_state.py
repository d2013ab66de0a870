"""The state of a training on disk: everything that a later start needs to go on bit for bit.

A state is a folder `state-<steps done>` with the trained weights and AdamW's memory; it appears
whole or not at all.
"""

import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from frozenseg_label.model.checkpoint_info import is_frozen
from frozenseg_label.model.frozenseg import FrozenSeg

WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.pt"


def trained_weights(model: FrozenSeg) -> dict[str, Tensor]:
    """Return the weights that training changes: all but the two frozen encoders."""
    return {k: v for k, v in model.state_dict().items() if not is_frozen(k)}


def save_state(folder: Path, steps_done: int, model: FrozenSeg, optimizer: Optimizer) -> Path:
    """Write a state and remove older ones."""
    path = folder / f"state-{steps_done:08d}"
    outdated = [*folder.glob(".state-*.tmp"), *(old for old in states(folder) if old != path)]
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    temporary.mkdir(parents=True)
    weights = {k: v.contiguous() for k, v in trained_weights(model).items()}
    save_file(weights, temporary / WEIGHTS)
    torch.save(optimizer.state_dict(), temporary / OPTIMIZER)
    if path.exists():  # stopped, started again and stopped at once: the same state
        outdated.append(temporary)
    else:
        temporary.replace(path)
    for old in outdated:
        shutil.rmtree(old)
    return path


def load_newest_state(folder: Path, model: FrozenSeg, optimizer: Optimizer) -> int:
    """Fill model and optimizer from the newest state; return the steps done, 0 without a state."""
    found = states(folder)
    if not found:
        return 0
    load_trained_weights(found[-1] / WEIGHTS, model)
    # Through main memory, so that a state goes on on another device than it was made on.
    state = torch.load(found[-1] / OPTIMIZER, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(state)
    return int(found[-1].name.removeprefix("state-"))


def load_trained_weights(path: Path, model: FrozenSeg) -> None:
    """Fill the trained part of a model; the frozen encoders stay as they are."""
    frozen = {k: v for k, v in model.state_dict().items() if is_frozen(k)}
    model.load_state_dict(frozen | load_file(path))


def states(folder: Path) -> list[Path]:
    """Return the states in a folder, oldest first."""
    return sorted(folder.glob("state-*"))
