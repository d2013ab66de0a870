"""The one training loop: what a learner learns, step by step, in one process or in many."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
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
from frozenseg_label.training.data.sample_sources import Sample, Source
from frozenseg_label.training.loop.decoder_learner import DecoderLearner
from frozenseg_label.training.loop.head_learner import HeadLearner
from frozenseg_label.training.loop.state import load_newest_state, save_state
from frozenseg_label.training.loop.steps import Loader, Place, Schedule
from frozenseg_label.training.loop.training_log import TrainingLog
from frozenseg_label.training.loss.criterion import Criterion, Divisors
from frozenseg_label.training.settings import TrainSettings

NORMS = (nn.LayerNorm, nn.GroupNorm)
EMBEDDINGS = {"query_features", "query_positions", "level_embedding", "void_embedding"}
TERMS = ("classification", "mask", "dice")
SKIPPED = "skipped"  # in the memory


Learner = DecoderLearner | HeadLearner


@dataclass(frozen=True)
class Progress:
    """What is known after some steps.

    Attributes:
        steps: done.
        losses: of the last one: total, the last layer's terms, learning rate, seconds.
    """

    steps: int
    losses: Mapping[str, float]


OnStep = Callable[[Progress], Mapping[str, float] | None]
"""Told of every step by the main process; what it returns goes into the log."""


@dataclass
class Memory:
    """What a training knows beside weights; it is saved with every state.

    Attributes:
        values: anything that JSON can hold.
    """

    values: dict[str, object] = field(default_factory=dict)

    @property
    def skipped(self) -> list[str]:
        """Why images could not be read, sorted, each once."""
        found = self.values.get(SKIPPED, [])
        return [f"{reason}" for reason in found] if isinstance(found, list) else []

    def add_skipped(self, reasons: Iterable[str]) -> None:
        """Remember images that could not be read."""
        self.values[SKIPPED] = sorted({*self.skipped, *reasons})


def fine_tune(
    model: FrozenSeg,
    learner: Learner,
    source: Source,
    settings: TrainSettings,
    folder: Path,
    *,
    accelerator: Accelerator | None = None,
    memory: Memory | None = None,
    on_start: Callable[[], None] | None = None,
    on_step: OnStep | None = None,
) -> int:
    """Train and return how many steps are done.

    Fewer than `settings.steps` means that it was told to stop (Ctrl-C or SIGTERM); the same call
    goes on from the newest state in the folder, bit for bit, because what a step draws depends on
    the seed, the step and the place in it alone.

    Args:
        model: what is trained, on the accelerator's device.
        learner: the part of it that learns.
        source: the images.
        folder: states and log go here.
        accelerator: of this process; None: one process, on the model's device.
        memory: filled from the state that is taken up, saved with each new one.
        on_start: called in the main process before the first step of this call.
        on_step: called in the main process after every step.
    """
    accelerator = accelerator or Accelerator(cpu=model.void_embedding.device.type == "cpu")
    memory = memory or Memory()
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = AdamW(parameter_groups(model, settings.weight_decay), lr=settings.learning_rate)
    done = load_newest_state(folder, model, optimizer, memory.values)
    shared, optimizer = accelerator.prepare(learner, optimizer)
    trainer = _Trainer(model, learner, shared, optimizer, settings, accelerator)
    schedule = Schedule(len(source), settings.batch_size, settings.seed)
    loader = Loader(
        source, schedule, accelerator.process_index, accelerator.num_processes, settings.steps
    )
    is_main = accelerator.is_main_process
    if is_main and on_start is not None and done < settings.steps:
        on_start()
    accelerator.wait_for_everyone()
    model.train()
    with watch_for_stop() as stop, _log(folder, done, is_main) as log:
        try:
            while done < settings.steps and not trainer.agree(stop.is_set()):
                started = time.perf_counter()
                losses = trainer.step(done, *loader.step(done), schedule)
                losses["seconds"] = round(time.perf_counter() - started, 4)
                done += 1
                if log is not None:
                    if done % settings.log_every == 0:
                        log.row(done, losses)
                    memory.add_skipped(loader.skipped.values())
                    if on_step and (found := on_step(Progress(done, losses))):
                        log.row(done, found)
                    model.train()
                    if done % settings.save_every == 0:
                        save_state(folder, done, model, optimizer, memory.values)
            memory.add_skipped(gather_object(list(loader.skipped.values())))
            if is_main:
                save_state(folder, done, model, optimizer, memory.values)
            accelerator.wait_for_everyone()
        finally:
            loader.close()
    return done


def _log(folder: Path, done: int, is_main: bool) -> AbstractContextManager[TrainingLog | None]:
    return TrainingLog(folder, done) if is_main else nullcontext()


@dataclass(frozen=True)
class _Trainer:
    """Takes steps.

    Attributes:
        learner: as it is; `shared` is the same as the accelerator wraps it for several processes.
    """

    model: FrozenSeg
    learner: Learner
    shared: nn.Module
    optimizer: torch.optim.Optimizer
    settings: TrainSettings
    accelerator: Accelerator

    def agree(self, stop: bool) -> bool:
        """Whether any process was told to stop."""
        return self._sum([float(stop)])[0] > 0

    def step(
        self, step: int, places: Sequence[Place], samples: Sequence[Sample], schedule: Schedule
    ) -> dict[str, float]:
        """Learn from one batch; return the total loss, the last layer's terms, learning rate."""
        settings, criterion = self.settings, self.learner.criterion
        rate = settings.rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        divisors = self._divisors(criterion, samples)
        device = self.accelerator.device
        passes = split_into_passes(samples, settings.accumulation, settings.batch_size)
        terms = torch.zeros((), device=device)
        self.optimizer.zero_grad(set_to_none=True)
        for number, members in enumerate(passes, start=1):
            batch = self.learner.prepare([samples[i] for i in members])
            draws = [schedule.draw(places[i], device) for i in members]
            last = number == len(passes)  # gradients meet those of other processes once
            with nullcontext() if last else self.accelerator.no_sync(self.shared):
                found = self.shared(batch, divisors, draws)  # [layers, 3]
                self.accelerator.backward(criterion.weighted(found))
            terms = terms + found.detach()
        total = criterion.weighted(terms)
        norm = self.accelerator.clip_grad_norm_(self._trained(), settings.clip_norm)
        values = [total, *terms[-1], norm if norm is not None else total * 0.0]
        loss, *last_terms, length = self._mean(torch.stack([v.double() for v in values]))
        if not (math.isfinite(loss) and math.isfinite(length)):
            raise self._not_finite(step, places, samples, schedule, divisors)
        self.optimizer.step()
        return {"loss": loss, **dict(zip(TERMS, last_terms, strict=True)), "learning_rate": rate}

    def _trained(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _divisors(self, criterion: Criterion, samples: Sequence[Sample]) -> Divisors:
        """Of the whole step, for gradients that are averaged over processes."""
        queries = len(self.model.transformer_decoder.query_features)
        own = criterion.divisors([s.targets.target_weights for s in samples], queries)
        return Divisors(*(d / self.accelerator.num_processes for d in self._sum(own)))

    def _sum(self, values: Sequence[float]) -> list[float]:
        """Add up over the processes."""
        if self.accelerator.num_processes == 1:
            return list(values)
        mine = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        summed: list[float] = self.accelerator.reduce(mine, "sum").tolist()
        return summed

    def _mean(self, values: Tensor) -> list[float]:
        """Average over the processes."""
        mean: list[float] = self.accelerator.reduce(values, "mean").tolist()
        return mean

    @torch.no_grad()
    def _not_finite(
        self,
        step: int,
        places: Sequence[Place],
        samples: Sequence[Sample],
        schedule: Schedule,
        divisors: Divisors,
    ) -> TrainingError:
        """The error that names the images whose loss is no number."""
        guilty = []
        for place, sample in zip(places, samples, strict=True):
            batch = self.learner.prepare([sample])
            draw = schedule.draw(place, self.accelerator.device)
            if not bool(torch.isfinite(self.learner(batch, divisors, [draw])).all()):
                guilty.append(sample.name)
        names = ", ".join(guilty or [f"one of {', '.join(sample.name for sample in samples)}"])
        return TrainingError(
            f"step {step + 1}: the loss of {names}, or its gradient, is no finite number; what was "
            "saved before is kept. Look at these images, or lower learning_rate in a new training"
        )


def split_into_passes(
    samples: Sequence[Sample], accumulation: int, batch_size: int
) -> list[list[int]]:
    """Deal the samples of a process out to passes, by number; those of a pass have one shape."""
    most = max(1, math.ceil(min(len(samples), batch_size) / accumulation))
    order = sorted(range(len(samples)), key=lambda i: samples[i].shape)
    passes = []
    for _, group in groupby(order, key=lambda i: samples[i].shape):
        members = list(group)
        passes += [members[i : i + most] for i in range(0, len(members), most)]
    return passes


def parameter_groups(model: FrozenSeg, weight_decay: float) -> list[dict[str, object]]:
    """Sort what is trained into two groups: with weight decay, and norms and embeddings without."""
    groups: dict[float, list[Tensor]] = {weight_decay: [], 0.0: []}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                free = isinstance(module, NORMS) or name in EMBEDDINGS
                groups[0.0 if free else weight_decay].append(parameter)
    return [{"params": group, "weight_decay": decay} for decay, group in groups.items()]


@contextmanager
def watch_for_stop() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event that is set, so that a step is never left half done."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
