"""The transformer decoder: two ways through one set of layers, masked attention, injectors."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from frozenseg_label.model.pixel_decoder import DecodedPixels, PixelDecoder
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.transformer_decoder import DecoderOutput, TransformerDecoder

QUERIES = 7


def build(**switches: bool) -> TransformerDecoder:
    torch.manual_seed(0)
    return TransformerDecoder(
        channels=32,
        embedding_size=16,
        queries=QUERIES,
        layers=7,
        heads=4,
        feedforward=64,
        **switches,
    ).eval()


def random_pixels(batch: int = 2) -> tuple[DecodedPixels, Tensor]:
    torch.manual_seed(1)
    level0, level1, level2 = (torch.randn(batch, 32, 2 * s, 3 * s) for s in (1, 2, 4))
    pixels = DecodedPixels(
        mask_features=torch.randn(batch, 32, 16, 24),
        levels=(level0, level1, level2),
        sam=torch.randn(batch, 32, 4, 4),
    )
    return pixels, torch.randn(batch, 32, 8, 8)


def one_image(pixels: DecodedPixels, i: int) -> DecodedPixels:
    level0, level1, level2 = (x[i : i + 1] for x in pixels.levels)
    return DecodedPixels(
        pixels.mask_features[i : i + 1], (level0, level1, level2), pixels.sam[i : i + 1]
    )


def part_of(output: DecoderOutput, i: int) -> DecoderOutput:
    """What was said of one image of a batch."""
    return DecoderOutput(*(value[i : i + 1] for value in vars(output).values()))


def assert_same(found: DecoderOutput, expected: DecoderOutput, atol: float = 0.0) -> None:
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(found, name), value, atol=atol, rtol=0)


@torch.no_grad()
def test_every_layer_predicts_and_the_short_way_gives_the_last_prediction() -> None:
    decoder = build()
    pixels, sam = random_pixels()
    predictions = decoder.forward_all_layers(pixels, sam)
    assert len(predictions) == 1 + len(decoder.layers)
    assert predictions[0].mask_logits.shape == (2, QUERIES, 16, 24)
    assert predictions[0].class_embeddings.shape == (2, QUERIES, 16)
    assert_same(decoder(pixels, sam), predictions[-1])


@torch.no_grad()
def test_class_embeddings_are_made_of_query_embeddings_alone() -> None:
    decoder = build()
    output = decoder(*random_pixels())
    assert output.query_embeddings.shape == (2, QUERIES, 32)
    made = decoder.class_embedding(output.query_embeddings)
    torch.testing.assert_close(made, output.class_embeddings)


@torch.no_grad()
def test_a_batch_gives_what_each_image_gives_alone() -> None:
    decoder = build()
    pixels, sam = random_pixels()
    together = decoder(pixels, sam)
    for i in range(2):
        alone = decoder(one_image(pixels, i), sam[i : i + 1])
        assert_same(part_of(together, i), alone, atol=1e-5)


@torch.no_grad()
def test_the_feature_injector_brings_sam_into_layers_0_3_and_6() -> None:
    decoder = build()
    injected = [i for i, layer in enumerate(decoder.layers) if layer.feature_injector is not None]
    assert injected == [0, 3, 6]
    pixels, sam = random_pixels(batch=1)
    other = replace(pixels, sam=pixels.sam + 1.0)
    before, after = decoder.forward_all_layers(pixels, sam), decoder.forward_all_layers(other, sam)
    assert_same(after[0], before[0])
    assert not torch.allclose(after[1].mask_logits, before[1].mask_logits)


@torch.no_grad()
def test_the_query_injector_acts_from_the_layer_after_the_third() -> None:
    decoder = build()
    pixels, sam = random_pixels(batch=1)
    before = decoder.forward_all_layers(pixels, sam)
    after = decoder.forward_all_layers(pixels, sam + torch.randn_like(sam))
    for i in range(4):  # before layer 0, after layers 0, 1 and 2
        assert_same(after[i], before[i])
    assert not torch.allclose(after[4].mask_logits, before[4].mask_logits)


@torch.no_grad()
def test_without_injectors_sam_has_no_say() -> None:
    decoder = build(inject_queries=False, inject_features=False)
    pixels, sam = random_pixels(batch=1)
    blind = replace(pixels, sam=torch.zeros_like(pixels.sam))
    assert_same(decoder(blind, torch.zeros_like(sam)), decoder(pixels, sam))
    assert not any("feature_injector" in name for name in decoder.state_dict())


@torch.no_grad()
def test_each_injector_alone_changes_the_output() -> None:
    pixels, sam = random_pixels(batch=1)
    both = build()(pixels, sam)
    for switches in ({"inject_queries": False}, {"inject_features": False}):
        decoder = build(**switches)
        decoder.load_state_dict(build().state_dict(), strict=False)
        assert not torch.allclose(decoder(pixels, sam).mask_logits, both.mask_logits)


def claim_everything(decoder: TransformerDecoder, embedding: float) -> None:
    """Give all queries the same constant mask embedding, and masks no way into class embeddings."""
    last = decoder.mask_embedding.layers[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, embedding)
    torch.nn.init.zeros_(decoder.pooled_projection[1].weight)


@torch.no_grad()
def test_a_query_whose_mask_is_empty_looks_everywhere() -> None:
    decoder = build()
    pixels, sam = random_pixels(batch=1)
    pixels = replace(pixels, mask_features=torch.ones_like(pixels.mask_features))
    claim_everything(decoder, -1.0)
    empty = decoder.forward_all_layers(pixels, sam)
    claim_everything(decoder, 1.0)
    full = decoder.forward_all_layers(pixels, sam)
    assert empty[0].mask_logits.max() < 0 < full[0].mask_logits.min()
    for a, b in zip(empty, full, strict=True):
        torch.testing.assert_close(a.class_embeddings, b.class_embeddings)


@torch.no_grad()
def test_a_query_looks_only_inside_its_mask() -> None:
    decoder = build(inject_queries=False, inject_features=False)
    claim_everything(decoder, 1.0)
    pixels, sam = random_pixels(batch=1)
    features = torch.ones_like(pixels.mask_features)
    features[..., 16:] = -1.0  # so every mask covers the left two thirds, two of three columns
    pixels = replace(pixels, mask_features=features)
    before = decoder.forward_all_layers(pixels, sam)[1]
    for column, seen in ((0, True), (1, True), (2, False)):
        coarsest = pixels.levels[0].clone()
        coarsest[..., column] += torch.randn(32, 2)
        other = replace(pixels, levels=(coarsest, *pixels.levels[1:]))
        after = decoder.forward_all_layers(other, sam)[1]
        same = torch.allclose(after.class_embeddings, before.class_embeddings, atol=1e-6)
        assert same != seen


def test_training_reaches_every_parameter_but_the_scale_of_the_logits() -> None:
    decoder = build().train()
    pixels, sam = random_pixels()
    predictions = decoder.forward_all_layers(pixels, sam)
    total = sum(
        p.mask_logits.square().mean() + p.class_embeddings.square().mean() for p in predictions
    )
    assert isinstance(total, Tensor)
    total.backward()
    without = [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == ["logit_scale"]  # that one belongs to the classification


def test_a_sam_of_other_channels_is_refused_where_queries_are_injected() -> None:
    pixels, _ = random_pixels()
    narrow = torch.randn(2, 16, 8, 8)
    with pytest.raises(ValueError, match=r"32 channels, got 16"):
        build()(pixels, narrow)
    build(inject_queries=False)(pixels, narrow)


@torch.no_grad()
@pytest.mark.parametrize("sam_levels", [1, 3])
def test_both_readings_of_the_sam_branch_work_inside_a_head(sam_levels: int) -> None:
    torch.manual_seed(0)
    pixel_decoder = PixelDecoder(
        (8, 16, 24, 32),
        sam_channels=32,
        channels=32,
        layers=1,
        heads=4,
        points=4,
        feedforward=64,
        sam_levels=sam_levels,
    ).eval()
    for layer in pixel_decoder.sam_encoder.layers:
        torch.nn.init.normal_(layer.attention.sampling_offsets.weight)
    res2, res3, res4, res5 = (
        torch.randn(2, channels, 16 // stride, 16 // stride)
        for channels, stride in ((8, 1), (16, 2), (24, 4), (32, 8))
    )
    features = Features((res2, res3, res4, res5), dense=res5, sam=torch.randn(2, 32, 8, 8))
    whole = build()(pixel_decoder(features), features.sam)
    assert whole.mask_logits.isfinite().all()
    first = Features((res2[1:], res3[1:], res4[1:], res5[1:]), res5[1:], features.sam[1:])
    alone = build()(pixel_decoder(first), first.sam)
    assert_same(part_of(whole, 1), alone, atol=1e-5)


@torch.no_grad()
def test_outputs_are_float32_under_autocast_and_close_to_the_plain_ones() -> None:
    decoder = build()
    pixels, sam = random_pixels(batch=1)
    plain = decoder(pixels, sam)
    with torch.autocast("cpu", torch.bfloat16):
        half = decoder.forward_all_layers(pixels, sam)[0]
    assert {value.dtype for value in vars(half).values()} == {torch.float32}
    assert plain.mask_logits.dtype == torch.float32
