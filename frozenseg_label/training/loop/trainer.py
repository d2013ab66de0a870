"""One step of a training: a batch in several passes and processes, its loss and its gradients."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from frozenseg_label.errors import TrainingError
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.data.samples import Sample
from frozenseg_label.training.loop.learners import Learner
from frozenseg_label.training.loop.processes import add_up, average
from frozenseg_label.training.loop.steps import Place, Schedule
from frozenseg_label.training.loss.criterion import Divisors
from frozenseg_label.training.settings import TrainSettings

NORMS = (nn.LayerNorm, nn.GroupNorm)
EMBEDDINGS = {"query_features", "query_positions", "level_embedding", "void_embedding"}
TERMS = ("classification", "mask", "dice")


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
