"""The one training loop: what a learner learns, step by step, in one process or in several."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.optim import AdamW

from frozenseg_label.errors import TrainingError
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.data.sample_sources import SampleSource
from frozenseg_label.training.data.samples import Sample
from frozenseg_label.training.loop.learners import Learner
from frozenseg_label.training.loop.processes import add_up, average
from frozenseg_label.training.loop.state import Memory, load_newest_state, save_state
from frozenseg_label.training.loop.steps import Loader, Place, Schedule
from frozenseg_label.training.loop.training_log import TrainingLog
from frozenseg_label.training.loss.criterion import Divisors
from frozenseg_label.training.settings import TrainSettings

NORMS = (nn.LayerNorm, nn.GroupNorm)
EMBEDDINGS = {"query_features", "query_positions", "level_embedding", "void_embedding"}
TERMS = ("classification", "mask", "dice")


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


def _take_step(trainer: "Trainer", loader: Loader, done: int) -> Progress:
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


@dataclass(frozen=True)
class Trainer:
    """Takes the steps of a training.

    Attributes:
        shared: the learner as the accelerator wraps it, so that processes share gradients.
        schedule: draws the points of the losses.
    """

    model: FrozenSeg
    learner: Learner
    shared: nn.Module
    optimizer: torch.optim.Optimizer
    settings: TrainSettings
    accelerator: Accelerator
    schedule: Schedule

    def step(
        self, step: int, places: Sequence[Place], samples: Sequence[Sample]
    ) -> dict[str, float]:
        """Learn from one batch; return the loss, the terms of the last layer, the learning rate."""
        settings, criterion, device = self.settings, self.learner.criterion, self.accelerator.device
        rate = settings.rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        divisors = self._divisors(samples)
        passes = split_into_passes(samples, settings.accumulation, settings.batch_size)
        terms = torch.zeros((), device=device)
        self.optimizer.zero_grad(set_to_none=True)
        for number, members in enumerate(passes, start=1):
            batch = self.learner.prepare([samples[i] for i in members])
            draws = [self.schedule.draw(places[i], device) for i in members]
            last = number == len(passes)  # processes exchange their gradients once
            with nullcontext() if last else self.accelerator.no_sync(self.shared):
                found = self.shared(batch, divisors, draws)  # [layers, 3]
                self.accelerator.backward(criterion.weighted(found))
            terms = terms + found.detach()
        total = criterion.weighted(terms)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = self.accelerator.clip_grad_norm_(trained, settings.clip_norm)
        values = [total, *terms[-1], norm if norm is not None else total * 0.0]
        means = average(self.accelerator, torch.stack([value.double() for value in values]))
        loss, *last_terms, length = means
        if not (math.isfinite(loss) and math.isfinite(length)):
            raise self._not_finite(step, places, samples, divisors)
        self.optimizer.step()
        return {"loss": loss, **dict(zip(TERMS, last_terms, strict=True)), "learning_rate": rate}

    def any_of_all(self, flag: bool) -> bool:
        """Say whether the flag is set in any process."""
        return add_up(self.accelerator, [float(flag)])[0] > 0

    def _divisors(self, samples: Sequence[Sample]) -> Divisors:
        """Return the divisors of the whole step, for gradients that are averaged over processes."""
        queries = len(self.model.transformer_decoder.query_features)
        weights = [sample.targets.target_weights for sample in samples]
        summed = add_up(self.accelerator, self.learner.criterion.divisors(weights, queries))
        return Divisors(*(value / self.accelerator.num_processes for value in summed))

    @torch.no_grad()
    def _not_finite(
        self, step: int, places: Sequence[Place], samples: Sequence[Sample], divisors: Divisors
    ) -> TrainingError:
        """Return an error that names the images whose loss is not a finite number."""
        guilty = []
        for place, sample in zip(places, samples, strict=True):
            batch = self.learner.prepare([sample])
            draw = self.schedule.draw(place, self.accelerator.device)
            if not bool(torch.isfinite(self.learner(batch, divisors, [draw])).all()):
                guilty.append(sample.name)
        names = ", ".join(guilty or [f"one of {', '.join(sample.name for sample in samples)}"])
        return TrainingError(
            f"step {step + 1}: the loss of {names}, or its gradient, is not a finite number; the "
            "states saved before are kept. Look at these images, or lower --set learning_rate in a "
            "new training"
        )


def split_into_passes(
    samples: Sequence[Sample], accumulation: int, batch_size: int
) -> list[list[int]]:
    """Divide the samples of a process, by number, into passes; those of a pass have one shape."""
    most = max(1, math.ceil(min(len(samples), batch_size) / accumulation))
    order = sorted(range(len(samples)), key=lambda i: samples[i].shape)
    passes = []
    for _, group in groupby(order, key=lambda i: samples[i].shape):
        members = list(group)
        passes += [members[i : i + most] for i in range(0, len(members), most)]
    return passes


def parameter_groups(model: FrozenSeg, weight_decay: float) -> list[dict[str, object]]:
    """Return what is trained in two groups: with weight decay, and norms and embeddings without."""
    groups: dict[float, list[Tensor]] = {weight_decay: [], 0.0: []}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                free = isinstance(module, NORMS) or name in EMBEDDINGS
                groups[0.0 if free else weight_decay].append(parameter)
    return [{"params": group, "weight_decay": decay} for decay, group in groups.items()]
