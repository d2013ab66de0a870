"""Sources of samples: features on disk are those that the encoders would make."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frozenseg_label.formats.coco_panoptic import write_panoptic_png
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.training.data.augmentation import Augmentation
from frozenseg_label.training.data.caches import TensorCache, fill_cache
from frozenseg_label.training.data.collect import collect
from frozenseg_label.training.data.sample_sources import (
    FeatureSource,
    LabelledPictures,
    PixelSource,
)
from frozenseg_label.training.settings import TrainSettings
from tests.training.small_sets import map_of, write_set

RNG = np.random.default_rng(0)
SIZES = ((64, 64), (40, 50), (80, 30))  # the second is padded, the third is capped and padded


@pytest.fixture
def pictures(tmp_path: Path) -> LabelledPictures:
    """Return three pictures of different shapes; the upper half is a cat, the lower one a dog."""
    maps = {}
    for number, (height, width) in enumerate(SIZES):
        ids = np.ones((height, width), np.int32)
        ids[height // 2 :] = 2
        maps[f"{number}.png"] = map_of(ids)
    data = collect([write_set(tmp_path / "set", maps)], None, None, 0.0)
    return data.pictures(data.train, TrainSettings())


@pytest.fixture
def cache(tmp_path: Path) -> TensorCache:
    return TensorCache(tmp_path / "features")


def source_of(
    model: FrozenSeg,
    pictures: LabelledPictures,
    cache: TensorCache,
    *,
    flip: float = 0.5,
    frozen: str = "these encoders",
    bf16: bool = False,
) -> FeatureSource:
    return FeatureSource(pictures, model, cache, frozen, flip, bf16)


def seen_now(model: FrozenSeg, pictures: LabelledPictures, index: int, mirrored: bool) -> Features:
    picture = pictures.images[index].read_picture()
    picture = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
    prepared = prepare_image(picture, 64, 96)
    return model.extract_features(prepared.pixels[None], [prepared.framing.image])


def assert_same(kept: Features, seen: Features, rtol: float = 2**-8) -> None:
    pairs = [*zip(kept.pyramid, seen.pyramid, strict=True)]
    for value, expected in [*pairs, (kept.dense, seen.dense), (kept.sam, seen.sam)]:
        assert value.dtype == torch.bfloat16
        torch.testing.assert_close(value.float(), expected.float(), atol=0.0, rtol=rtol)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("index", range(len(SIZES)))
def test_kept_features_are_those_that_the_model_sees_to_bfloat16(
    tiny_frozenseg: FrozenSeg,
    pictures: LabelledPictures,
    cache: TensorCache,
    index: int,
    mirrored: bool,
) -> None:
    source = source_of(tiny_frozenseg, pictures, cache, flip=float(mirrored))
    fresh = source.load(index, RNG).features
    kept = source.load(index, RNG).features
    assert_same(fresh, seen_now(tiny_frozenseg, pictures, index, mirrored))
    assert_same(kept, fresh, rtol=0.0)


def test_targets_are_mirrored_with_the_features(
    tiny_frozenseg: FrozenSeg, pictures: LabelledPictures, cache: TensorCache
) -> None:
    """The padding is at the right in both; the object is mirrored inside it."""
    ids = np.ones((40, 50), np.int32)
    ids[:, :10] = 2
    write_panoptic_png(pictures.images[1].png, ids)
    unchecked = [replace(image, label_digest="") for image in pictures.images]
    pictures = replace(pictures, images=unchecked)
    plain, mirrored = (
        source_of(tiny_frozenseg, pictures, cache, flip=flip).load(1, RNG).targets.masks
        for flip in (0.0, 1.0)
    )
    assert plain.shape == mirrored.shape == (2, 64, 96)
    assert torch.equal(mirrored[..., :80], plain[..., :80].flip(-1))
    assert not mirrored[..., 80:].any()
    assert plain[1, 0].nonzero().max() == 15  # the left fifth of 80 columns


def test_features_seen_in_bfloat16_are_kept_too(
    tiny_frozenseg: FrozenSeg, pictures: LabelledPictures, cache: TensorCache
) -> None:
    source = source_of(tiny_frozenseg, pictures, cache, bf16=True)
    fresh = source.features(0, mirrored=False)
    assert_same(source.features(0, mirrored=False), fresh, rtol=0.0)


def test_other_encoders_pictures_and_ways_of_seeing_have_keys_of_their_own(
    tiny_frozenseg: FrozenSeg, pictures: LabelledPictures, cache: TensorCache
) -> None:
    source = source_of(tiny_frozenseg, pictures, cache)
    changed = replace(
        pictures, images=[replace(image, digest=image.digest[::-1]) for image in pictures.images]
    )
    others = [
        source.key(0, True),
        source.key(1, False),
        source_of(tiny_frozenseg, pictures, cache, frozen="others").key(0, False),
        source_of(tiny_frozenseg, pictures, cache, bf16=True).key(0, False),
        source_of(tiny_frozenseg, changed, cache).key(0, False),
    ]
    assert len({source.key(0, False), *others}) == 6


def test_a_damaged_file_is_made_again(
    tiny_frozenseg: FrozenSeg,
    pictures: LabelledPictures,
    cache: TensorCache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = source_of(tiny_frozenseg, pictures, cache)
    fresh = source.features(0, mirrored=False)
    (path,) = cache.folder.rglob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert_same(source.features(0, mirrored=False), fresh, rtol=0.0)
    assert "damaged" in caplog.text
    assert path.read_bytes() == whole


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_announced_is_about_what_is_written(
    tiny_frozenseg: FrozenSeg, pictures: LabelledPictures, cache: TensorCache, mirrored: bool
) -> None:
    source = source_of(tiny_frozenseg, pictures, cache)
    fill_cache(source, mirrored=mirrored)
    paths = list(cache.folder.rglob("*.safetensors"))
    assert len(paths) == (6 if mirrored else 3)
    written = sum(path.stat().st_size for path in paths)
    announced = (1 + mirrored) * sum(source.bytes_of(index) for index in range(3))
    assert announced == pytest.approx(written, rel=0.2)


def test_a_full_cache_is_announced_once_and_not_filled_again(
    tiny_frozenseg: FrozenSeg,
    pictures: LabelledPictures,
    cache: TensorCache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = source_of(tiny_frozenseg, pictures, cache)
    with caplog.at_level(logging.INFO):
        fill_cache(source, mirrored=False)
        fill_cache(source, mirrored=True)
        fill_cache(source, mirrored=True)
    told = [message for message in caplog.messages if "to be kept" in message]
    assert [message.split(":")[0] for message in told] == [
        "3 of 3 images to be kept",
        "3 of 6 images to be kept",
    ]


def test_processes_share_the_filling(
    tiny_frozenseg: FrozenSeg, pictures: LabelledPictures, cache: TensorCache
) -> None:
    source = source_of(tiny_frozenseg, pictures, cache)
    fill_cache(source, mirrored=False, process=1, processes=2)
    assert [cache.has(source.key(index, False)) for index in range(3)] == [False, True, False]


def test_a_picture_that_cannot_be_read_is_left_to_the_training(
    tiny_frozenseg: FrozenSeg, pictures: LabelledPictures, cache: TensorCache
) -> None:
    pictures.images[1].path.write_bytes(b"no picture")
    source = source_of(tiny_frozenseg, pictures, cache)
    fill_cache(source, mirrored=False)
    assert [cache.has(source.key(index, False)) for index in range(3)] == [True, False, True]


def test_pictures_are_augmented_with_their_labels(pictures: LabelledPictures) -> None:
    source = PixelSource(pictures, Augmentation(scale=(0.7, 1.5), crop_size=64))
    samples = [source.load(1, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    for sample in samples:
        assert sample.name == "1.png"
        assert sample.shape == sample.image_size == (64, 64)
        assert sample.pixels.shape == (3, 64, 64)
        assert set(sample.targets.labels.tolist()) <= {0, 1}
    assert torch.equal(samples[0].pixels, samples[1].pixels)
    assert not torch.equal(samples[0].pixels, samples[2].pixels)
