"""The processes of a training: only this one, or several that learn together."""

import logging
import os
from collections.abc import Sequence
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor

from frozenseg_label.errors import FrozenSegLabelError, TrainingError
from frozenseg_label.training.settings import TrainSettings

log = logging.getLogger(__name__)


def open_accelerator(device: str) -> Accelerator:
    """Join the processes of `torchrun` or `accelerate launch`, or be the only process.

    TrainingError: `accelerate launch` was asked for several processes and started one.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise FrozenSegLabelError(f"device must be auto, cpu or cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise FrozenSegLabelError("device 'cuda' cannot be used here; use --device auto or cpu")
    # One process measures while the others wait: longer than processes usually wait.
    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))
    # Without a GPU, several processes find each other only if they are told to use the CPU.
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    # Without GPUs and MPI, `accelerate launch` says where processes would meet, but starts one on
    # each machine, which would train by itself, into the same folder.
    several = {"ACCELERATE_USE_CPU", "MASTER_ADDR"} <= os.environ.keys()
    accelerator = Accelerator(cpu=on_cpu, kwargs_handlers=[patience])
    if several and accelerator.num_processes == 1:
        raise TrainingError(
            "`accelerate launch` was asked for several processes and started only this one; start "
            "them with torchrun, or as recipes/many_machines.md says"
        )
    return accelerator


def check_processes(accelerator: Accelerator, settings: TrainSettings) -> None:
    """Raise TrainingError if a process had no image; all but the main one log only errors now."""
    count = accelerator.num_processes
    if settings.batch_size < count:
        raise TrainingError(
            f"batch_size is {settings.batch_size}, but there are {count} processes, each of which "
            "wants an image; raise it, or start fewer"
        )
    if not accelerator.is_main_process:
        logging.getLogger("frozenseg_label").setLevel(logging.ERROR)
    elif count > 1:
        log.info("training in %d processes", count)


def add_up(accelerator: Accelerator, values: Sequence[float]) -> list[float]:
    """Return the sum of each value over the processes."""
    if accelerator.num_processes == 1:
        return list(values)
    mine = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    summed: list[float] = accelerator.reduce(mine, "sum").tolist()
    return summed


def average(accelerator: Accelerator, values: Tensor) -> list[float]:
    """Return the mean of each value [N] over the processes."""
    mean: list[float] = accelerator.reduce(values, "mean").tolist()
    return mean
