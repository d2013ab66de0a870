"""The pixel decoder: sizes, two branches apart, images that do not mix."""

from dataclasses import replace

import pytest
import torch

from frozenseg_label.model.pixel_decoder import DecodedPixels, PixelDecoder
from frozenseg_label.model.proposals import Features


def build(sam_levels: int = 1, channels: int = 32) -> PixelDecoder:
    torch.manual_seed(0)
    decoder = PixelDecoder(
        (8, 16, 24, 32),
        sam_channels=16,
        channels=channels,
        layers=2,
        heads=4,
        points=4,
        feedforward=64,
        sam_levels=sam_levels,
    )
    for name, parameter in decoder.named_parameters():
        if "sampling_offsets.weight" in name or "attention_weights.weight" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return decoder.eval()


def random_features(batch: int = 2) -> Features:
    torch.manual_seed(1)
    pyramid = tuple(
        torch.randn(batch, channels, 16 // stride, 24 // stride)
        for channels, stride in ((8, 1), (16, 2), (24, 4), (32, 8))
    )
    res2, res3, res4, res5 = pyramid
    return Features((res2, res3, res4, res5), dense=res5, sam=torch.randn(batch, 16, 8, 8))


def one_image(features: Features, i: int) -> Features:
    res2, res3, res4, res5 = (x[i : i + 1] for x in features.pyramid)
    return Features((res2, res3, res4, res5), features.dense[i : i + 1], features.sam[i : i + 1])


def assert_same(found: DecodedPixels, expected: DecodedPixels, image: int, atol: float) -> None:
    pairs = [
        (found.mask_features, expected.mask_features),
        (found.sam, expected.sam),
        *zip(found.levels, expected.levels, strict=True),
    ]
    for a, b in pairs:
        torch.testing.assert_close(a[image : image + 1], b, atol=atol, rtol=0)


@torch.no_grad()
def test_levels_come_coarsest_first_and_mask_features_at_the_size_of_res2() -> None:
    pixels = build()(random_features())
    assert pixels.mask_features.shape == (2, 32, 16, 24)
    assert [tuple(x.shape) for x in pixels.levels] == [(2, 32, 2, 3), (2, 32, 4, 6), (2, 32, 8, 12)]
    assert pixels.sam.shape == (2, 32, 4, 4)


@torch.no_grad()
@pytest.mark.parametrize("sam_levels", [1, 3])
def test_a_batch_gives_what_each_image_gives_alone(sam_levels: int) -> None:
    decoder, features = build(sam_levels), random_features()
    together = decoder(features)
    for i in range(2):
        assert_same(together, decoder(one_image(features, i)), image=i, atol=1e-5)


@torch.no_grad()
def test_the_branches_of_clip_and_sam_do_not_meet_here() -> None:
    decoder, features = build(), random_features(batch=1)
    plain = decoder(features)
    other = decoder(replace(features, sam=features.sam + torch.randn_like(features.sam)))
    assert torch.equal(other.mask_features, plain.mask_features)
    assert not torch.allclose(other.sam, plain.sam)


@torch.no_grad()
def test_the_honest_sam_branch_has_one_level_and_the_published_one_three() -> None:
    honest, published = build(sam_levels=1), build(sam_levels=3)
    assert honest.sam_encoder.level_embedding.shape == (1, 32)
    assert published.sam_encoder.level_embedding.shape == (3, 32)
    # Only the first of the three level vectors is ever read.
    features = random_features(batch=1)
    before = published(features).sam
    published.sam_encoder.level_embedding[1:] += 1.0
    assert torch.equal(published(features).sam, before)


def test_training_reaches_every_parameter_of_the_honest_decoder() -> None:
    decoder = build().train()
    pixels = decoder(random_features())
    total = sum(x.square().sum() for x in (pixels.mask_features, pixels.sam, *pixels.levels))
    assert isinstance(total, torch.Tensor)
    total.backward()
    without = [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_channels_that_group_norm_cannot_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32, got 48"):
        build(channels=48)
