"""The one training loop: what a learner learns, step by step, in one process or in several."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch.optim import AdamW

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.data.sample_sources import SampleSource
from frozenseg_label.training.loop.learners import Learner
from frozenseg_label.training.loop.state import Memory, load_newest_state, save_state
from frozenseg_label.training.loop.steps import Loader, Schedule
from frozenseg_label.training.loop.trainer import Trainer, parameter_groups
from frozenseg_label.training.loop.training_log import TrainingLog
from frozenseg_label.training.settings import TrainSettings


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        steps: number of steps that are done.
        losses: of the last step: total loss, terms of the last layer, learning rate, seconds.
    """

    steps: int
    losses: Mapping[str, float]


OnStep = Callable[[Progress], Mapping[str, float] | None]
"""Called after every step in the main process; the values that it returns go into the log."""


def fine_tune(
    model: FrozenSeg,
    learner: Learner,
    source: SampleSource,
    settings: TrainSettings,
    folder: Path,
    *,
    accelerator: Accelerator | None = None,
    memory: Memory | None = None,
    on_start: Callable[[], None] | None = None,
    on_step: OnStep | None = None,
) -> int:
    """Train and return how many steps are done.

    Fewer than `settings.steps` means that it was told to stop (Ctrl-C or SIGTERM). The same call
    goes on from the newest state in the folder, bit for bit, because the random numbers of a step
    depend only on the seed, the step and the place in it.

    Args:
        model: to train, on the device of the accelerator.
        learner: the part of the model that learns.
        source: the images to train on.
        folder: states and log are written here.
        accelerator: of this process; None: one process, on the model's device.
        memory: filled from the state that is loaded, saved with each new one.
        on_start: called in the main process before the first step of this call.
        on_step: called in the main process after every step.
    """
    accelerator = accelerator or Accelerator(cpu=model.void_embedding.device.type == "cpu")
    memory = memory or Memory()
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = AdamW(parameter_groups(model, settings.weight_decay), lr=settings.learning_rate)
    done = load_newest_state(folder, model, optimizer, memory)
    shared, optimizer = accelerator.prepare(learner, optimizer)
    schedule = Schedule(len(source), settings.batch_size, settings.seed)
    trainer = Trainer(model, learner, shared, optimizer, settings, accelerator, schedule)
    process, processes = accelerator.process_index, accelerator.num_processes
    loader = Loader(source, schedule, process, processes, settings.steps)
    is_main = accelerator.is_main_process
    if is_main and on_start is not None and done < settings.steps:
        on_start()
    accelerator.wait_for_everyone()
    model.train()
    with watch_for_stop() as stop, _log(folder, done, is_main) as log, closing(loader):
        while done < settings.steps and not trainer.any_of_all(stop.is_set()):
            progress = _take_step(trainer, loader, done)
            done = progress.steps
            if log is not None:
                memory.add_skipped(loader.skipped.values())
                _after_step(progress, log, settings.log_every, on_step)
                model.train()  # on_step may have measured
                if done % settings.save_every == 0:
                    save_state(folder, done, model, optimizer, memory)
        memory.add_skipped(gather_object(list(loader.skipped.values())))
        if is_main:
            save_state(folder, done, model, optimizer, memory)
        accelerator.wait_for_everyone()
    return done


def _log(folder: Path, done: int, is_main: bool) -> AbstractContextManager[TrainingLog | None]:
    return TrainingLog(folder, done) if is_main else nullcontext()


def _take_step(trainer: Trainer, loader: Loader, done: int) -> Progress:
    """Take the step that follows the steps done so far, and measure its time."""
    started = time.perf_counter()
    losses = trainer.step(done, *loader.step(done))
    losses["seconds"] = round(time.perf_counter() - started, 4)
    return Progress(done + 1, losses)


def _after_step(
    progress: Progress, log: TrainingLog, log_every: int, on_step: OnStep | None
) -> None:
    """Write the losses of a step into the log, if it is their turn, and what `on_step` returns."""
    if progress.steps % log_every == 0:
        log.row(progress.steps, progress.losses)
    if on_step and (found := on_step(progress)):
        log.row(progress.steps, found)


@contextmanager
def watch_for_stop() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event that is set, so that every step is finished."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach only the main thread
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
