"""The one training loop: the decoder learns, the two encoders stay as they are."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import category_logits
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.criterion import Criterion, LayerPrediction, LossTerms
from frozenseg_label.training.dataset import BatchSource, TrainingBatch
from frozenseg_label.training.point_sampling import Draw
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.training.train_state import load_newest_state, save_state

LOG = "log.jsonl"
NORMS = (nn.LayerNorm, nn.GroupNorm)
EMBEDDINGS = {"query_features", "query_positions", "level_embedding", "void_embedding"}

Report = Callable[[int, Mapping[str, float]], None]
"""Told the steps done and the losses whenever a line is logged."""


def fine_tune(
    model: FrozenSeg,
    batches: BatchSource,
    names: TextClassifier,
    settings: TrainSettings,
    folder: Path,
    report: Report | None = None,
) -> int:
    """Train the decoder and return how many steps are done.

    Fewer than `settings.steps` means that it was told to stop (Ctrl-C or SIGTERM); the same call
    goes on from the newest state in the folder, bit for bit, because what a step draws depends on
    the seed and the step alone.

    Args:
        batches: gives the batch of a step, on any device.
        names: the training vocabulary; the labels of the targets are its categories.
        folder: states and log go here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = AdamW(parameter_groups(model, settings.weight_decay), lr=settings.learning_rate)
    done = load_newest_state(folder, model, optimizer)
    keep_log_until(folder / LOG, done)
    model.train()
    with watch_for_stop() as stop:
        while done < settings.steps and not stop.is_set():
            started = time.perf_counter()
            losses = train_step(model, optimizer, batches(done), names, settings, done)
            done += 1
            if done % settings.log_every == 0:
                seconds = time.perf_counter() - started
                append_row(folder / LOG, {"step": done, **losses, "seconds": round(seconds, 4)})
                if report is not None:
                    report(done, losses)
            if done % settings.save_every == 0 or done == settings.steps or stop.is_set():
                save_state(folder, done, model, optimizer)
    return done


def train_step(
    model: FrozenSeg,
    optimizer: Optimizer,
    batch: TrainingBatch,
    names: TextClassifier,
    settings: TrainSettings,
    step: int,
) -> dict[str, float]:
    """Learn from one batch; return the total loss, the last layer's terms, the learning rate."""
    rate = settings.rate_at(step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    criterion = Criterion(num_points=settings.num_points)
    device = model.void_embedding.device
    batch = batch.to(device)
    draw = draws_of_step(settings.seed, step, device)
    num_targets = float(sum(target.labels.numel() for target in batch.targets))

    layers = [
        criterion.layer_terms(prediction, batch.targets, num_targets, draw)
        for prediction in predict_all_layers(model, batch, names, settings.precision)
    ]
    total = criterion.total(layers)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(trained, settings.clip_norm, error_if_nonfinite=True)
    optimizer.step()
    return {"loss": total.item(), **last_terms(layers), "learning_rate": rate}


def predict_all_layers(
    model: FrozenSeg, batch: TrainingBatch, names: TextClassifier, precision: str
) -> list[LayerPrediction]:
    """Return what the decoder says before its first layer and after each, the last one last."""
    device = model.void_embedding.device.type
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        pixels = model.pixel_decoder(batch.features)
        outputs = model.transformer_decoder.forward_all_layers(pixels, batch.features.sam)
    return [
        LayerPrediction(
            category_logits(
                output.class_embeddings.float(),
                names,
                model.void_embedding,
                model.transformer_decoder.logit_scale,
            ),
            output.mask_logits,
        )
        for output in outputs
    ]


def parameter_groups(model: FrozenSeg, weight_decay: float) -> list[dict[str, object]]:
    """Sort what is trained into two groups: with weight decay, and norms and embeddings without."""
    groups: dict[float, list[Tensor]] = {weight_decay: [], 0.0: []}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                free = isinstance(module, NORMS) or name in EMBEDDINGS
                groups[0.0 if free else weight_decay].append(parameter)
    return [{"params": group, "weight_decay": decay} for decay, group in groups.items()]


def draws_of_step(seed: int, step: int, device: torch.device) -> Draw:
    """Return the source of chance of one step, the same whenever it is asked for."""
    start = int(np.random.SeedSequence((seed, step)).generate_state(1)[0])
    generator = torch.Generator().manual_seed(start)
    return lambda shape: torch.rand(shape, generator=generator).to(device)


def last_terms(layers: list[LossTerms]) -> dict[str, float]:
    """Return the losses of the last layer by name."""
    return {name: value.item() for name, value in layers[-1]._asdict().items()}


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


def append_row(log: Path, row: Mapping[str, float]) -> None:
    """Add one line of JSON."""
    with log.open("a") as file:
        file.write(json.dumps(row) + "\n")


def keep_log_until(log: Path, steps_done: int) -> None:
    """Drop the lines of steps that the state on disk does not know; they will come again."""
    if log.exists():
        rows = [line for line in log.read_text().splitlines() if line.endswith("}")]
        kept = [line for line in rows if json.loads(line)["step"] <= steps_done]
        log.write_text("".join(line + "\n" for line in kept))
