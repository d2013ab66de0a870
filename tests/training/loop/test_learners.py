"""The class and void embedding learn from outputs that the frozen decoder made once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import State
from frozenseg_label.training.data.caches import TensorCache, fill_cache
from frozenseg_label.training.data.collect import TrainingData, collect
from frozenseg_label.training.loop.decoder_outputs import OutputSample, OutputSource
from frozenseg_label.training.loop.fine_tune import fine_tune
from frozenseg_label.training.loop.learners import DecoderLearner, HeadLearner
from frozenseg_label.training.loop.training_log import LOG, read_rows
from frozenseg_label.training.loss.criterion import Criterion
from frozenseg_label.training.loss.point_sampling import Draw
from frozenseg_label.training.settings import TrainSettings
from tests.training.small_sets import draw_square, map_of, write_run

RNG = np.random.default_rng(0)
SETTINGS = TrainSettings(
    part="head",
    steps=4,
    batch_size=2,
    learning_rate=1e-2,
    drops=(),
    num_points=256,
    save_every=2,
    log_every=1,
    edited_weight=2.0,
)


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """Return a run under review: cats, some edited, on partly refused or unknown grounds."""
    maps = {}
    for seed in range(4):
        _, ids = draw_square(seed)
        ids[50:] = 3
        states: dict[int, State] = {1: "accepted", 2: "accepted", 3: "rejected"}
        if seed % 2:
            states[1] = "edited"
        maps[f"{seed}.png"] = map_of(ids, {1: 1, 2: 3, 3: 2}, states)
    _, ids = draw_square(9)
    maps["9.png"] = map_of(ids, {1: 1, 2: 2}, {1: "rejected", 2: "proposed"})  # no target
    return collect([write_run(tmp_path / "out", maps, state="in review")], None, None, 0.0)


@pytest.fixture
def cache(tmp_path: Path) -> TensorCache:
    return TensorCache(tmp_path / "outputs")


def source_of(
    model: FrozenSeg, data: TrainingData, cache: TensorCache | None, weights: str = "these"
) -> OutputSource:
    return OutputSource(
        pictures=data.pictures(data.train, SETTINGS),
        model=model,
        cache=cache,
        weights=weights,
        flip=0.5,
        bf16=False,
        num_points=SETTINGS.num_points,
    )


def names_of(model: FrozenSeg, data: TrainingData) -> TextClassifier:
    return build_text_classifier(
        model.clip, data.vocabulary, (), clip_fingerprint="", templates=("{}",)
    )


def learner_of(model: FrozenSeg, data: TrainingData) -> HeadLearner:
    return HeadLearner(model, names_of(model, data), Criterion(SETTINGS.num_points))


def loss_of(model: FrozenSeg, data: TrainingData, samples: list[OutputSample]) -> Tensor:
    learner = learner_of(model, data)
    weights = [sample.targets.target_weights for sample in samples]
    divisors = learner.criterion.divisors(weights, len(samples[0].queries))
    terms: Tensor = learner(learner.prepare(samples), divisors, [])
    return terms


def test_only_class_embedding_and_void_change(
    tiny_frozenseg: FrozenSeg, data: TrainingData, cache: TensorCache, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in tiny_frozenseg.state_dict().items()}
    source = source_of(tiny_frozenseg, data, cache)
    learner = learner_of(tiny_frozenseg, data)

    assert fine_tune(tiny_frozenseg, learner, source, SETTINGS, tmp_path / "training") == 4

    after = tiny_frozenseg.state_dict()
    learnt = "transformer_decoder.class_embedding."
    for name, value in after.items():
        is_learnt = name == "void_embedding" or name.startswith(learnt)
        assert torch.equal(value, before[name]) != is_learnt, name


def test_the_loss_falls(
    tiny_frozenseg: FrozenSeg, data: TrainingData, cache: TensorCache, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"steps": 40, "batch_size": 5, "clip_norm": 1.0})
    source, learner = source_of(tiny_frozenseg, data, cache), learner_of(tiny_frozenseg, data)
    fine_tune(tiny_frozenseg, learner, source, settings, tmp_path)
    losses = [row["loss"] for row in read_rows(tmp_path / LOG)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("mirrored", [False, True])
def test_kept_outputs_give_the_same_loss_as_those_made_now(
    tiny_frozenseg: FrozenSeg, data: TrainingData, cache: TensorCache, mirrored: bool
) -> None:
    fresh = source_of(tiny_frozenseg, data, None)
    kept = source_of(tiny_frozenseg, data, cache)
    fill_cache(kept, mirrored=mirrored)
    made_now = [fresh.outputs(index, mirrored) for index in range(len(fresh))]
    from_disk = [kept.outputs(index, mirrored) for index in range(len(kept))]
    assert torch.equal(
        loss_of(tiny_frozenseg, data, from_disk), loss_of(tiny_frozenseg, data, made_now)
    )


def test_kept_outputs_serve_only_the_weights_and_the_labels_that_they_were_made_with(
    tiny_frozenseg: FrozenSeg, data: TrainingData, cache: TensorCache
) -> None:
    source = source_of(tiny_frozenseg, data, cache)
    keys = {
        source.key(0, False),
        source.key(0, True),
        source.key(1, False),
        source_of(tiny_frozenseg, data, cache, weights="others").key(0, False),
    }
    assert len(keys) == 4


def test_the_class_loss_is_that_of_the_whole_decoders_last_layer(
    build_tiny: Callable[[], FrozenSeg], data: TrainingData
) -> None:
    """With the same points; weights, ignored and refused regions count the same in both."""
    model = build_tiny()
    source, names = source_of(model, data, None), names_of(model, data)
    for index in range(len(source)):
        (of_head,) = loss_of(model, data, [source.outputs(index, mirrored=False)])

        sample = source.pictures.prepare(index, False, model.input_size)
        seed = int(source.pictures.images[index].digest[:8], 16)
        criterion = Criterion(SETTINGS.num_points)
        learner = DecoderLearner(model, names, criterion, bf16=False)
        batch = learner.prepare([sample])
        terms = criterion.layer_terms(
            learner.predict_all_layers(batch.features)[-1],
            batch.targets,
            criterion.divisors([sample.targets.target_weights], queries=12),
            [draw_from(seed)],
        )
        torch.testing.assert_close(of_head[0], terms.classification)


def draw_from(seed: int) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.rand(shape, generator=generator)


def test_an_image_without_targets_goes_through(
    tiny_frozenseg: FrozenSeg, data: TrainingData, cache: TensorCache
) -> None:
    source = source_of(tiny_frozenseg, data, cache)
    images = source.pictures.images
    blind = next(i for i, image in enumerate(images) if image.name == "9.png")
    for _ in range(2):
        sample = source.outputs(blind, mirrored=False)
        assert sample.costs.shape == (12, 0)
        assert sample.doubt is not None
        assert loss_of(tiny_frozenseg, data, [sample]).isfinite().all()


def test_what_is_announced_is_about_what_is_written(
    build_tiny: Callable[[], FrozenSeg], data: TrainingData, cache: TensorCache
) -> None:
    source = source_of(build_tiny(), data, cache)
    fill_cache(source, mirrored=False)
    paths = list(cache.folder.rglob("*.safetensors"))
    assert len(paths) == len(source) == 5
    headers = sum(header_size(path) for path in paths)
    written = sum(path.stat().st_size for path in paths) - headers  # small beside real outputs
    announced = sum(source.bytes_of(index) for index in range(len(source)))
    assert announced == pytest.approx(written, rel=0.2)


def header_size(path: Path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")
