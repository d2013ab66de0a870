"""CLIP sees images, masks and prompts, each by itself."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from frozenseg_label.model.clip_backbone import (
    ConvNextClip,
    FrozenClip,
    ResNetClip,
    TextTower,
    convnext_clip,
    resnet_clip,
    tokenize,
    tokens_in,
)

PROMPTS = ("a photo of a cat.", "There is a small red balloon in the scene.")


def tiny_text(token_ids: tuple[int, ...] | None = tokens_in(PROMPTS)) -> TextTower:
    return TextTower(width=16, heads=2, layers=2, context_length=16, token_ids=token_ids)


def tiny_convnext() -> ConvNextClip:
    torch.manual_seed(0)
    return convnext_clip(12, (1, 1, 2, 1), (8, 16, 24, 32), tiny_text(), layer_scale=1.0).eval()


def tiny_nano() -> ConvNextClip:
    torch.manual_seed(0)
    return convnext_clip(
        12,
        (1, 1, 2, 1),
        (8, 16, 24, 32),
        tiny_text(),
        kernel_size=3,
        output_stride=16,
        layer_scale=None,
        norm="batch",
        conv_mlp=True,
    ).eval()


def tiny_resnet() -> ResNetClip:
    torch.manual_seed(0)
    clip = resnet_clip(12, (1, 1, 1, 1), 4, 4, 96, tiny_text())
    torch.nn.init.normal_(clip.visual.attnpool.c_proj.bias)
    return clip.eval()


FAMILIES = pytest.mark.parametrize("build", [tiny_convnext, tiny_nano, tiny_resnet])


def random_pixels(images: int = 2) -> Tensor:
    return torch.randint(256, (images, 3, 64, 96)).float()


@pytest.mark.parametrize(
    ("build", "strides"),
    [
        (tiny_convnext, (4, 8, 16, 32)),
        (tiny_nano, (4, 8, 16, 16)),
        (tiny_resnet, (4, 8, 16, 32)),
    ],
)
def test_the_pyramid_has_the_strides_and_channels_it_says(
    build: Callable[[], FrozenClip], strides: tuple[int, ...]
) -> None:
    clip = build()
    pyramid, dense = clip.extract_features(random_pixels(), [(64, 96)] * 2)
    for level, stride, channels in zip(pyramid, strides, clip.channels, strict=True):
        assert level.shape == (2, channels, 64 // stride, 96 // stride)
    assert torch.equal(dense, pyramid[3])


@FAMILIES
def test_what_stands_in_the_padding_does_not_matter(build: Callable[[], FrozenClip]) -> None:
    clip, pixels = build(), random_pixels()
    other = pixels.clone()
    other[0, :, 50:] = torch.nan
    other[1, :, :, 70:] = 255.0
    sizes = [(50, 96), (64, 70)]
    _, dense = clip.extract_features(pixels, sizes)
    assert torch.equal(clip.extract_features(other, sizes)[1], dense)


@FAMILIES
def test_an_image_does_not_depend_on_its_neighbours(build: Callable[[], FrozenClip]) -> None:
    clip, pixels, masks = build(), random_pixels(), torch.randn(2, 3, 16, 24)
    sizes = [(64, 96)] * 2
    _, dense = clip.extract_features(pixels, sizes)
    embeddings, _ = clip.embed_masks(dense, masks)

    beside_another = torch.stack([random_pixels(1)[0], pixels[1]])
    _, again = clip.extract_features(beside_another, sizes)
    assert torch.equal(again[1], dense[1])
    assert torch.equal(clip.embed_masks(again, masks)[0][1], embeddings[1])

    _, alone = clip.extract_features(pixels[1:], sizes[1:])
    assert_close(clip.embed_masks(alone, masks[1:])[0][0], embeddings[1], atol=1e-5, rtol=1e-5)


@FAMILIES
def test_a_mask_does_not_depend_on_its_neighbours(build: Callable[[], FrozenClip]) -> None:
    clip = build().train()  # not even where the trunk's BatchNorm is being trained
    dense, masks = torch.randn(2, clip.channels[3], 4, 6), torch.randn(2, 3, 16, 24)
    others = torch.randn(2, 3, 16, 24)
    others[:, 1] = masks[:, 1]
    embeddings, _ = clip.embed_masks(dense, masks)
    assert embeddings.shape == (2, 3, clip.embedding_size)
    assert torch.equal(clip.embed_masks(dense, others)[0][:, 1], embeddings[:, 1])


def test_for_a_convnext_every_mask_is_valid_even_an_empty_one() -> None:
    embeddings, valid = tiny_convnext().embed_masks(
        torch.randn(1, 32, 4, 6), -torch.ones(1, 2, 4, 6)
    )
    assert valid.all()
    assert embeddings.isfinite().all()


def test_a_full_mask_gives_a_convnexts_own_image_embedding() -> None:
    clip, pixels = tiny_convnext(), torch.randn(2, 3, 64, 96)
    _, dense = clip.encode_pixels(pixels)
    embeddings, _ = clip.embed_masks(dense, torch.ones(2, 1, 1, 1))
    norm = clip.visual.trunk.head.norm
    mean = dense.mean(dim=(2, 3))
    pooled = torch.nn.functional.layer_norm(mean, mean.shape[1:], norm.weight, norm.bias, 1e-6)
    own = clip.visual.head(pooled)
    assert_close(embeddings[:, 0], own, atol=1e-5, rtol=1e-5)


def test_a_mask_without_a_position_gives_a_resnets_bias_and_is_not_valid() -> None:
    clip = tiny_resnet()
    masks = torch.ones(1, 3, 4, 6)
    masks[0, 1] = 0.0  # exactly zero is outside
    dense = torch.randn(1, 128, 4, 6, requires_grad=True)
    embeddings, valid = clip.embed_masks(dense, masks)
    assert valid.tolist() == [[True, False, True]]
    assert torch.equal(embeddings[0, 1], clip.visual.attnpool.c_proj.bias)
    assert not torch.equal(embeddings[0, 0], clip.visual.attnpool.c_proj.bias)
    embeddings.sum().backward()
    assert dense.grad is not None
    assert dense.grad.isfinite().all()


def test_a_resnets_mask_sees_only_its_own_positions() -> None:
    clip = tiny_resnet()
    pool = clip.visual.attnpool
    torch.nn.init.zeros_(pool.k_proj.weight)  # now it looks at all of them alike
    torch.nn.init.zeros_(pool.positional_embedding)
    dense = torch.randn(1, 128, 4, 6)
    left_half = torch.ones(1, 1, 4, 6)
    left_half[..., 3:] = -1.0
    embeddings, _ = clip.embed_masks(dense, left_half)
    mean = dense[0, :, :, :3].flatten(1).mean(dim=1)
    assert_close(embeddings[0, 0], pool.c_proj(pool.v_proj(mean)), atol=1e-5, rtol=1e-5)


def test_a_resnets_mask_far_below_the_strongest_position_still_counts() -> None:
    clip = tiny_resnet()
    dense = torch.randn(1, 128, 4, 6)
    dense[..., 0, 0] *= 1e4  # its score outweighs all others by far more than exp can hold
    masks = torch.ones(1, 1, 4, 6)
    masks[..., 0, 0] = -1.0
    embeddings, valid = clip.embed_masks(dense, masks)
    assert valid.all()
    assert not torch.equal(embeddings[0, 0], clip.visual.attnpool.c_proj.bias)


def test_everything_can_be_trained() -> None:
    clip = tiny_nano().train()
    _, dense = clip.extract_features(random_pixels(), [(64, 96)] * 2)
    embeddings, _ = clip.embed_masks(dense, torch.randn(2, 3, 16, 24))
    logits = clip.logit_scale.exp() * embeddings.flatten(0, 1) @ clip.encode_text(PROMPTS).T
    logits.square().sum().backward()
    assert [name for name, weight in clip.named_parameters() if weight.grad is None] == []


@FAMILIES
def test_half_precision_stays_close(build: Callable[[], FrozenClip]) -> None:
    clip, pixels, masks = build(), random_pixels(), torch.randn(2, 3, 16, 24)
    _, dense = clip.extract_features(pixels, [(64, 96)] * 2)
    embeddings, _ = clip.embed_masks(dense, masks)
    with torch.autocast("cpu", torch.bfloat16):
        _, dense = clip.extract_features(pixels, [(64, 96)] * 2)
        coarse, _ = clip.embed_masks(dense, masks)
    similarity = torch.cosine_similarity(embeddings, coarse.float(), dim=-1)
    assert (similarity > 0.99).all()


def test_batch_norm_in_the_trunk_needs_convolutions_in_the_blocks() -> None:
    with pytest.raises(ValueError, match="conv_mlp"):
        convnext_clip(12, (1, 1, 1, 1), (8, 8, 8, 8), tiny_text(), norm="batch")


@FAMILIES
def test_weights_can_be_loaded_into_a_model_without_memory(build: Callable[[], FrozenClip]) -> None:
    clip = build()
    with torch.device("meta"):
        empty = build()
    empty.load_state_dict(clip.state_dict(), assign=True)
    pixels = random_pixels()
    _, dense = clip.extract_features(pixels, [(64, 96)] * 2)
    assert torch.equal(empty.extract_features(pixels, [(64, 96)] * 2)[1], dense)
    assert torch.equal(empty.encode_text(PROMPTS), clip.encode_text(PROMPTS))


def test_a_prompt_does_not_depend_on_longer_ones_beside_it() -> None:
    clip = tiny_convnext()
    together = clip.encode_text(PROMPTS)
    assert_close(together[:1], clip.encode_text(PROMPTS[:1]), atol=1e-6, rtol=1e-5)
    assert_close(together[1:], clip.encode_text(PROMPTS[1:]), atol=1e-6, rtol=1e-5)


def test_a_prompt_that_is_too_long_is_cut_and_keeps_its_end() -> None:
    tokens = tokenize(["cat " * 40], 16)
    assert tokens.shape == (1, 16)
    assert int(tokens[0, -1]) == int(tokenize([""])[0, 1])


def test_a_compact_text_tower_says_what_the_full_one_says() -> None:
    torch.manual_seed(0)
    sizes = (12, (1, 1, 1, 1), (4, 4, 4, 4))
    full = convnext_clip(*sizes, tiny_text(token_ids=None))
    ids = tokens_in(PROMPTS)
    compact = convnext_clip(*sizes, tiny_text(ids))
    weights = full.model.state_dict()
    rows = weights["token_embedding.weight"][list(ids)]
    weights["token_embedding.weight"] = torch.cat([rows, torch.zeros(1, 16)])
    weights["token_embedding.token_ids"] = torch.tensor(ids)
    compact.model.load_state_dict(weights)
    assert_close(compact.encode_text(PROMPTS), full.encode_text(PROMPTS), atol=1e-6, rtol=1e-5)


def test_words_that_a_compact_text_tower_does_not_store_share_one_vector() -> None:
    clip = tiny_convnext()
    cat, zebra, piano = clip.encode_text(
        ["a photo of a cat", "a photo of a zebra", "a photo of a piano"]
    )
    assert torch.equal(zebra, piano)
    assert not torch.equal(cat, zebra)


def test_the_stored_tokens_travel_with_the_weights() -> None:
    trained = tiny_convnext()
    count = len(tokens_in(PROMPTS))
    untold = convnext_clip(
        12, (1, 1, 2, 1), (8, 16, 24, 32), tiny_text(tuple(range(count))), layer_scale=1.0
    )
    untold.load_state_dict(trained.state_dict())
    assert torch.equal(untold.encode_text(PROMPTS), trained.encode_text(PROMPTS))


@pytest.mark.parametrize("ids", [(), (3, 3)])
def test_stored_tokens_must_be_some_and_each_once(ids: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="each once"):
        convnext_clip(12, (1, 1, 1, 1), (4, 4, 4, 4), tiny_text(ids))
