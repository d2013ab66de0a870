"""The loop trains the decoder only, can be stopped, and goes on as if it had not been."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier, build_text_classifier
from frozenseg_label.training.dataset import BatchSource, TrainingSample
from frozenseg_label.training.feature_cache import cache_samples, shuffled_batches
from frozenseg_label.training.fine_tune import LOG, fine_tune, parameter_groups
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary import parse_classes

SETTINGS = TrainSettings(
    steps=6, batch_size=2, learning_rate=1e-3, drops=(4,), num_points=32, save_every=2, log_every=1
)


def draw_sample(seed: int) -> TrainingSample:
    """A bright square on a dark ground, 64 x 64."""
    rng = np.random.default_rng(seed)
    top, left = rng.integers(4, 30, 2)
    square = np.zeros((64, 64), dtype=bool)
    square[top : top + 28, left : left + 28] = True
    image = np.where(square[..., None], 220, 40).astype(np.uint8).repeat(3, axis=2)
    return TrainingSample(image, np.stack([square, ~square]), np.array([0, 1]))


def prepare(model: FrozenSeg) -> tuple[BatchSource, TextClassifier]:
    pool = cache_samples(model, [draw_sample(seed) for seed in range(5)])
    names = build_text_classifier(
        model.clip,
        parse_classes("square, ground:stuff"),
        (),
        clip_fingerprint="",
        templates=("{}",),
    )
    return shuffled_batches(pool, SETTINGS.batch_size, SETTINGS.seed), names


def weights(model: FrozenSeg) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def stop_after(step: int) -> Callable[[int, Mapping[str, float]], None]:
    """Send this process a SIGTERM after a step, as a scheduler would."""

    def report(done: int, losses: Mapping[str, float]) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return report


def test_the_frozen_encoders_stay_as_they_are_and_the_decoder_does_not(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    before = weights(tiny_frozenseg)

    assert fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), SETTINGS, tmp_path) == SETTINGS.steps

    for name, value in tiny_frozenseg.state_dict().items():
        if name.startswith(("clip.", "sam.")):
            assert torch.equal(value, before[name]), name
    for name in ("void_embedding", "transformer_decoder.logit_scale"):
        assert not torch.equal(tiny_frozenseg.state_dict()[name], before[name])
    assert not tiny_frozenseg.clip.training
    assert not tiny_frozenseg.sam.training


def test_every_trained_parameter_gets_a_gradient(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), SETTINGS, tmp_path)
    without = [
        n for n, p in tiny_frozenseg.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert without == []


def test_the_loss_falls(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": 16, "drops": (), "clip_norm": 1.0})
    fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), settings, tmp_path)
    losses = [row["loss"] for row in read_log(tmp_path)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_stopped_and_started_again_it_gives_the_same_weights_bit_for_bit(
    build_tiny: Callable[[], FrozenSeg], tmp_path: Path
) -> None:
    straight, stopped, again = build_tiny(), build_tiny(), build_tiny()
    fine_tune(straight, *prepare(straight), SETTINGS, tmp_path / "straight")

    done = fine_tune(stopped, *prepare(stopped), SETTINGS, tmp_path / "stopped", stop_after(3))
    assert done == 3
    assert fine_tune(again, *prepare(again), SETTINGS, tmp_path / "stopped") == SETTINGS.steps

    for name, value in again.state_dict().items():
        assert torch.equal(value, straight.state_dict()[name]), name
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_log(tmp_path / folder)]
        for folder in ("straight", "stopped")
    ]
    assert rows[0] == rows[1]


def test_a_signal_is_handled_as_before_once_the_training_has_ended(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), SETTINGS, tmp_path, stop_after(1))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_finished_training_is_not_repeated(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), SETTINGS, tmp_path)
    finished = weights(tiny_frozenseg)
    assert fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), SETTINGS, tmp_path) == SETTINGS.steps
    for name, value in tiny_frozenseg.state_dict().items():
        assert torch.equal(value, finished[name])


def test_only_the_newest_state_is_kept_and_what_a_kill_left_is_removed(
    tiny_frozenseg: FrozenSeg, tmp_path: Path
) -> None:
    (tmp_path / ".state-00000002.123.tmp").mkdir()
    fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), SETTINGS, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOG, "state-00000006"]


def test_bfloat16_trains_too(tiny_frozenseg: FrozenSeg, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"precision": "bf16"})
    fine_tune(tiny_frozenseg, *prepare(tiny_frozenseg), settings, tmp_path)
    assert all(np.isfinite(row["loss"]) for row in read_log(tmp_path))
    assert all(p.dtype == torch.float32 for p in tiny_frozenseg.parameters())


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


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="learning_rat"):
        TrainSettings.model_validate({"learning_rat": 1e-4})
