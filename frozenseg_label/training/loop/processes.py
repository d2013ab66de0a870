"""The processes of a training: this one alone, or one of several."""

import logging
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from frozenseg_label.errors import FrozenSegLabelError, TrainingError
from frozenseg_label.training.settings import TrainSettings

log = logging.getLogger(__name__)


def open_accelerator(device: str) -> Accelerator:
    """This process among those of `torchrun` or `accelerate launch`, or the only one."""
    if device not in ("auto", "cpu", "cuda"):
        raise FrozenSegLabelError(f"device must be auto, cpu or cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise FrozenSegLabelError("device 'cuda' cannot be used here; use --device auto or cpu")
    # One process measures while the others wait: longer than they usually would.
    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))
    # Where there is no GPU, several processes find each other only if told to use the CPU.
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    return Accelerator(cpu=on_cpu, kwargs_handlers=[patience])


def check_processes(accelerator: Accelerator, settings: TrainSettings) -> None:
    """TrainingError if some had nothing to do; all but the main one tell errors only from now."""
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
