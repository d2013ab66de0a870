"""Small trainings of the whole decoder of a tiny model, on squares in memory."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.data.sample_sources import PoolSource
from frozenseg_label.training.data.samples import FeatureSample, prepare_sample, see
from frozenseg_label.training.data.targets import Truth
from frozenseg_label.training.loop.fine_tune import OnStep, Progress, fine_tune
from frozenseg_label.training.loop.learners import DecoderLearner
from frozenseg_label.training.loop.state import Memory
from frozenseg_label.training.loop.training_log import LOG, read_rows
from frozenseg_label.training.loss.criterion import Criterion
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary_files import parse_classes
from tests.training.small_sets import draw_square

SETTINGS = TrainSettings(
    steps=6, batch_size=2, learning_rate=1e-3, drops=(4,), num_points=32, save_every=2, log_every=1
)
SQUARE_AND_GROUND = Truth({1: 0, 2: 1})


def names_of(model: FrozenSeg) -> TextClassifier:
    words = parse_classes("square, ground:stuff")
    return build_text_classifier(model.clip, words, (), clip_fingerprint="", templates=("{}",))


def pool_of(model: FrozenSeg, count: int = 5, heights: Sequence[int] = (64,)) -> PoolSource:
    """Return squares that the encoders have seen, their heights by turns."""
    samples = []
    for seed in range(count):
        picture, ids = draw_square(seed)
        height = heights[seed % len(heights)]
        sample = prepare_sample(
            f"{seed}.png", picture[:height], ids[:height], SQUARE_AND_GROUND, model.input_size
        )
        samples.append(FeatureSample(sample.name, see(model, [sample], False), sample.targets))
    return PoolSource(samples)


def train(
    model: FrozenSeg,
    folder: Path,
    settings: TrainSettings = SETTINGS,
    on_step: OnStep | None = None,
    source: PoolSource | None = None,
    memory: Memory | None = None,
) -> int:
    bf16 = settings.precision == "bf16"
    learner = DecoderLearner(model, names_of(model), Criterion(settings.num_points), bf16=bf16)
    source = source or pool_of(model)
    return fine_tune(model, learner, source, settings, folder, on_step=on_step, memory=memory)


def changed(**settings: object) -> TrainSettings:
    return SETTINGS.model_copy(update=settings)


def weights(model: FrozenSeg) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_weights(
    model: FrozenSeg, expected: Mapping[str, Tensor], atol: float = 0.0
) -> None:
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=atol, rtol=0.0, msg=name)


def stop_after(step: int) -> OnStep:
    """Send this process a SIGTERM after a step, as a scheduler would."""

    def on_step(progress: Progress) -> None:
        if progress.steps == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_step


def rows_without_seconds(folder: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in read_rows(folder / LOG)
    ]
