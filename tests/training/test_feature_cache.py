"""Features are computed once, and batches are drawn from them."""

import numpy as np
import pytest
import torch

from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.dataset import TrainingSample
from frozenseg_label.training.feature_cache import (
    CachedSample,
    cache_samples,
    collate,
    see_sample,
    shuffled_batches,
)


def random_sample(seed: int, height: int = 64, width: int = 64, targets: int = 1) -> TrainingSample:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return TrainingSample(image, np.ones((targets, height, width), bool), np.full(targets, seed))


def numbers(pool: list[CachedSample], batch_size: int, steps: range) -> list[list[int]]:
    """Which samples each step gets; a sample's label is its number."""
    batches = shuffled_batches(pool, batch_size, seed=3)
    return [[int(t.labels[0]) for t in batches(step).targets] for step in steps]


def test_cached_features_are_those_of_the_model_to_bfloat16(tiny_frozenseg: FrozenSeg) -> None:
    sample = random_sample(0)
    batch = collate(
        [see_sample(tiny_frozenseg, sample), see_sample(tiny_frozenseg, random_sample(1))]
    )

    pixels = prepare_image(sample.image, 64, 96).pixels[None]
    features = tiny_frozenseg.extract_features(pixels, [(64, 64)])
    for cached, fresh in zip(batch.features.pyramid, features.pyramid, strict=True):
        assert cached.shape == (2, *fresh.shape[1:])
        torch.testing.assert_close(cached[:1], fresh, atol=0.0, rtol=2**-8)
    torch.testing.assert_close(batch.features.sam[:1], features.sam, atol=0.0, rtol=2**-8)


def test_masks_are_resized_and_padded_as_the_image_is(tiny_frozenseg: FrozenSeg) -> None:
    wide = random_sample(0, height=40, width=50)  # becomes 64 x 80, padded to 64 x 96
    masks = see_sample(tiny_frozenseg, wide).masks
    assert masks.shape == (1, 64, 96)
    assert masks[0, :, :80].all()
    assert not masks[0, :, 80:].any()


def test_a_sample_without_targets_goes_through(tiny_frozenseg: FrozenSeg) -> None:
    batch = collate([see_sample(tiny_frozenseg, random_sample(0, targets=0))])
    assert batch.targets[0].masks.shape == (0, 64, 64)


def test_a_round_shows_every_sample_once_and_the_next_in_another_order(
    tiny_frozenseg: FrozenSeg,
) -> None:
    pool = cache_samples(tiny_frozenseg, [random_sample(seed) for seed in range(6)])
    first, second = numbers(pool, 2, range(3)), numbers(pool, 2, range(3, 6))
    for shown in (first, second):
        assert sorted(number for batch in shown for number in batch) == list(range(6))
    assert first != second


def test_a_step_gets_the_same_batch_whenever_it_is_asked(tiny_frozenseg: FrozenSeg) -> None:
    pool = cache_samples(tiny_frozenseg, [random_sample(seed) for seed in range(6)])
    assert numbers(pool, 2, range(4, 6)) == numbers(pool, 2, range(6))[4:]


def test_a_pool_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="0 samples gives no batches of 2"):
        shuffled_batches([], 2, seed=0)
