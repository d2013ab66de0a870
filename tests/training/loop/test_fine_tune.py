"""The loop trains only the decoder, divides steps as the settings say, and stops when it must."""

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frozenseg_label.errors import ImageError, TrainingError
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.data.sample_sources import PoolSource
from frozenseg_label.training.data.samples import FeatureSample
from frozenseg_label.training.loop.fine_tune import Progress, parameter_groups, split_into_passes
from frozenseg_label.training.loop.state import Memory
from frozenseg_label.training.loop.training_log import LOG, read_rows
from frozenseg_label.training.settings import TrainSettings
from tests.training.small_training import (
    SETTINGS,
    changed,
    pool_of,
    rows_without_seconds,
    stop_after,
    train,
    weights,
)


def test_the_frozen_encoders_stay_as_they_are_and_the_decoder_does_not(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    before = weights(tiny_frozenseg)

    assert train(tiny_frozenseg, tmp_path) == SETTINGS.steps

    for name, value in tiny_frozenseg.state_dict().items():
        if name.startswith(("clip.", "sam.")):
            assert torch.equal(value, before[name]), name
    for name in ("void_embedding", "transformer_decoder.logit_scale"):
        assert not torch.equal(tiny_frozenseg.state_dict()[name], before[name])
    assert not tiny_frozenseg.clip.training
    assert not tiny_frozenseg.sam.training


def test_every_trained_parameter_gets_a_gradient(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    train(tiny_frozenseg, tmp_path)
    without = [
        n for n, p in tiny_frozenseg.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert without == []


def test_the_loss_falls(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    train(tiny_frozenseg, tmp_path, changed(steps=16, drops=(), clip_norm=1.0))
    losses = [row["loss"] for row in read_rows(tmp_path / LOG)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_signal_is_handled_as_before_once_the_training_has_ended(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    train(tiny_frozenseg, tmp_path, on_step=stop_after(1))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_what_is_measured_between_steps_goes_into_the_log(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    def measure(progress: Progress) -> Mapping[str, float] | None:
        return {"held-out PQ": 12.5} if progress.steps == 2 else None

    train(tiny_frozenseg, tmp_path, on_step=measure)
    measured = [row for row in read_rows(tmp_path / LOG) if "held-out PQ" in row]
    assert measured == [{"step": 2, "held-out PQ": 12.5}]


def test_bfloat16_trains_too(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    train(tiny_frozenseg, tmp_path, changed(precision="bf16", steps=3))
    rows = read_rows(tmp_path / LOG)
    assert len(rows) == 3
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert all(p.dtype == torch.float32 for p in tiny_frozenseg.parameters())


# One step, however it is divided.


@pytest.mark.parametrize("heights", [(64,), (64, 32)])
def test_a_step_in_two_passes_gives_the_losses_and_gradients_of_a_step_in_one(
    build_tiny: Callable[[], FrozenSeg], tmp_path: Path, heights: Sequence[int]
) -> None:
    """Not the weights: AdamW's first step has full length even for gradients of rounding errors."""
    gradients = []
    for accumulation in (1, 2):
        model = build_tiny()
        settings = changed(steps=1, batch_size=4, accumulation=accumulation, clip_norm=1e9)
        train(model, tmp_path / f"{accumulation}", settings, source=pool_of(model, 4, heights))
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)
    one, two = (rows_without_seconds(tmp_path / f"{accumulation}") for accumulation in (1, 2))
    assert two == [pytest.approx(row, rel=1e-5) for row in one]


def test_samples_of_two_shapes_are_learnt_from_in_one_step(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    source = pool_of(tiny_frozenseg, 4, heights=(64, 32))
    assert len({sample.shape for sample in source.samples}) == 2
    train(tiny_frozenseg, tmp_path, changed(steps=2, batch_size=4), source=source)
    assert all(np.isfinite(row["loss"]) for row in read_rows(tmp_path / LOG))


def test_a_pool_smaller_than_a_batch_is_shown_more_than_once(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    settings = changed(steps=2, batch_size=4)
    assert train(tiny_frozenseg, tmp_path, settings, source=pool_of(tiny_frozenseg, 3)) == 2


def test_samples_are_dealt_out_to_passes_of_one_shape(tiny_frozenseg: FrozenSeg) -> None:
    samples = pool_of(tiny_frozenseg, 5, heights=(64, 32)).samples  # shapes by turns
    assert sorted(split_into_passes(samples, 1, 5), key=len) == [[1, 3], [0, 2, 4]]
    passes = split_into_passes(samples, 2, 5)
    assert sorted(i for members in passes for i in members) == list(range(5))
    for members in passes:
        assert len(members) <= 3
        assert len({samples[i].shape for i in members}) == 1
    assert [len(members) for members in split_into_passes(samples[::2], 3, 3)] == [1, 1, 1]


# A loss that is not a number.


def with_features_of(sample: FeatureSample, value: float) -> FeatureSample:
    features = sample.features
    return replace(sample, features=replace(features, sam=torch.full_like(features.sam, value)))


def test_a_loss_that_is_no_number_stops_names_the_image_and_keeps_the_last_weights(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    samples = list(pool_of(tiny_frozenseg, 6).samples)
    poisoned = PoolSource([*samples[:5], with_features_of(samples[5], float("nan"))])

    with pytest.raises(
        TrainingError, match=r"^step 2: the loss of 5\.png, or its gradient, is not "
    ):
        train(tiny_frozenseg, tmp_path, changed(save_every=1), source=poisoned)

    assert [path.name for path in tmp_path.glob("*state-*")] == ["state-00000001"]
    assert all(value.isfinite().all() for value in tiny_frozenseg.state_dict().values())


class Damaged(PoolSource):
    """A pool whose second image cannot be read."""

    def load(self, index: int, rng: np.random.Generator) -> FeatureSample:
        if index == 1:
            raise ImageError("1.png: no image, or damaged")
        return super().load(index, rng)


def test_images_that_cannot_be_read_are_remembered_each_once(
    tiny_frozenseg: FrozenSeg, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory, source = Memory(), Damaged(pool_of(tiny_frozenseg).samples)
    with caplog.at_level(logging.WARNING):
        assert train(tiny_frozenseg, tmp_path, source=source, memory=memory) == SETTINGS.steps
    assert memory.skipped == ["1.png: no image, or damaged"]
    assert caplog.messages.count("skipped: 1.png: no image, or damaged") == 1


# What is trained, and how fast.


def test_norms_and_embeddings_have_no_weight_decay(tiny_frozenseg: FrozenSeg) -> None:
    decayed, free = parameter_groups(tiny_frozenseg, 0.05)
    name_of = {id(p): name for name, p in tiny_frozenseg.named_parameters()}
    free_names = {name_of[id(p)] for p in free["params"]}  # type: ignore[attr-defined]
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.05, 0.0)
    assert {"void_embedding", "transformer_decoder.query_features"} < free_names
    assert all(
        "norm" in n or "embedding" in n or "query" in n or ".1." in n or ".0." in n
        for n in free_names
    )
    trained = [p for p in tiny_frozenseg.parameters() if p.requires_grad]
    assert len(decayed["params"]) + len(free["params"]) == len(trained)  # type: ignore[arg-type]


def test_the_rate_rises_and_drops_where_the_settings_say() -> None:
    settings = TrainSettings(steps=100, learning_rate=1.0, warm_up=4, drops=(50, 80))
    rates = [settings.rate_at(step) for step in (0, 1, 3, 49, 50, 79, 80)]
    assert rates == pytest.approx([0.25, 0.5, 1.0, 1.0, 0.1, 0.1, 0.01])
