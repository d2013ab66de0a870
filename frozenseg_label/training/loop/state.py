"""The state of a training on disk: everything that a later start needs to go on bit for bit.

A state is a folder `state-<steps done>` with the trained weights, the memory of AdamW and the other
facts that the training remembers. It appears whole or not at all.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch.optim import Optimizer

from frozenseg_label.checkpoints.convert import UNREADABLE
from frozenseg_label.documents import read_json
from frozenseg_label.errors import CheckpointError, TrainingError
from frozenseg_label.files import atomic_folder, remove_leftovers
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.loop.trained_weights import load_trained_weights, trained_weights

WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.pt"
MEMORY = "memory.json"

SKIPPED, BEST_QUALITY, BEST_STEP = "skipped", "best PQ", "best step"  # keys of the memory


@dataclass
class Memory:
    """What a training remembers beside weights; it is saved with every state.

    Attributes:
        values: by name, anything that JSON can hold.
    """

    values: dict[str, object] = field(default_factory=dict)

    @property
    def skipped(self) -> list[str]:
        """Return why images could not be read, sorted, each reason once."""
        found = self.values.get(SKIPPED, [])
        return [f"{reason}" for reason in found] if isinstance(found, list) else []

    def add_skipped(self, reasons: Iterable[str]) -> None:
        """Remember images that could not be read."""
        self.values[SKIPPED] = sorted({*self.skipped, *reasons})

    @property
    def best_step(self) -> int | None:
        """Return the steps after which the best weights were taken; None if none were yet."""
        step = self.values.get(BEST_STEP)
        return step if isinstance(step, int) else None

    def is_best(self, quality: float) -> bool:
        """Say whether no earlier quality was better."""
        best = self.values.get(BEST_QUALITY)
        return not isinstance(best, float) or quality >= best

    def remember_best(self, quality: float, step: int) -> None:
        """Remember the quality of the best weights, and the steps after which they were taken."""
        self.values |= {BEST_QUALITY: quality, BEST_STEP: step}

    def forget_best(self) -> None:
        """Forget the best weights: their file is lost."""
        self.values.pop(BEST_QUALITY, None)
        self.values.pop(BEST_STEP, None)

    def quality_before(self, images: str) -> dict[str, float] | None:
        """Return the starting weights' quality on a set, by group; None if not yet measured."""
        found = self.values.get(f"before, {images}")
        return found if isinstance(found, dict) else None

    def remember_before(self, images: str, quality: dict[str, float]) -> None:
        """Remember the quality of the starting weights on a set."""
        self.values[f"before, {images}"] = quality


def save_state(
    folder: Path, steps_done: int, model: FrozenSeg, optimizer: Optimizer, memory: Memory
) -> Path:
    """Write a state and remove older ones; if it fails, they stay and TrainingError is raised."""
    path = folder / f"state-{steps_done:08d}"
    if path.exists():  # stopped, started again and stopped at once, or just saved: the same state
        return path
    outdated = [*folder.glob(".state-*.tmp"), *states(folder)]
    try:
        with atomic_folder(path, error=TrainingError) as temporary:
            weights = {k: v.contiguous() for k, v in trained_weights(model).items()}
            save_file(weights, temporary / WEIGHTS)
            torch.save(optimizer.state_dict(), temporary / OPTIMIZER)
            (temporary / MEMORY).write_text(json.dumps(memory.values) + "\n", encoding="utf-8")
    except (TrainingError, RuntimeError, SafetensorError) as error:  # torch.save: RuntimeError
        reason = error.__cause__ or error
        kept = f"; {states(folder)[-1]} is kept" if states(folder) else ""
        raise TrainingError(
            f"{path} cannot be written ({reason}){kept}; make room there and go on with --resume"
        ) from error
    remove_leftovers(folder)
    for old in outdated:
        shutil.rmtree(old, ignore_errors=True)
    return path


def load_newest_state(folder: Path, model: FrozenSeg, optimizer: Optimizer, memory: Memory) -> int:
    """Fill all three from the newest state; return the steps done, 0 without a state."""
    found = states(folder)
    if not found:
        return 0
    newest = found[-1]
    try:
        load_trained_weights(newest / WEIGHTS, model)
        # Through main memory: the training may go on on another device than it was started on.
        state = torch.load(newest / OPTIMIZER, map_location="cpu", weights_only=True)
        optimizer.load_state_dict(state)
        memory.values.update(read_json(newest / MEMORY, TrainingError))
    except (CheckpointError, TrainingError, *UNREADABLE) as error:
        before = f"from {found[-2]}" if len(found) > 1 else "anew"
        raise TrainingError(
            f"{newest} is damaged ({error}); restore it, or remove it and give --resume: then the "
            f"training goes on {before}"
        ) from error
    return steps_done(folder)


def steps_done(folder: Path) -> int:
    """Return the steps of the newest state, 0 without a state."""
    found = states(folder)
    return int(found[-1].name.removeprefix("state-")) if found else 0


def states(folder: Path) -> list[Path]:
    """Return the states in a folder, oldest first."""
    return sorted(path for path in folder.glob("state-*") if path.name[6:].isdecimal())
