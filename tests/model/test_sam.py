"""The frozen SAM: stretching, masks from points."""

import pytest
import torch
from torch import Tensor

from frozenseg_label.model.builders import build_nano_sam
from frozenseg_label.model.sam import ConvStem, DecoderSizes, FrozenSam, vit_sam


@pytest.fixture(scope="module")
def tiny_sam() -> FrozenSam:
    torch.manual_seed(0)
    sam = vit_sam(
        image_size=64,
        embed_dim=24,
        depth=2,
        heads=2,
        channels=16,
        window=3,
        global_blocks=(1,),
        decoder=DecoderSizes(heads=2, feedforward=32, iou_hidden=16),
    )
    return sam.eval()


def test_an_image_is_stretched_to_the_square_with_its_padding(tiny_sam: FrozenSam) -> None:
    torch.manual_seed(3)
    pixels = torch.rand(1, 3, 32, 96) * 255
    embedding = tiny_sam.encode(pixels, [(32, 64)])
    other_padding = pixels.clone()
    other_padding[..., 64:] = 77.0
    assert embedding.shape == (1, 16, 4, 4)
    assert torch.equal(tiny_sam.encode(other_padding, [(32, 64)]), embedding)
    assert not torch.equal(tiny_sam.encode(pixels, [(32, 96)]), embedding)


def test_an_embedding_does_not_depend_on_the_other_images_of_the_batch(tiny_sam: FrozenSam) -> None:
    torch.manual_seed(4)
    pixels = torch.rand(2, 3, 64, 64) * 255
    both = tiny_sam.encode(pixels, [(64, 64), (48, 64)])
    alone = tiny_sam.encode(pixels[1:], [(48, 64)])
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)


def test_a_point_is_encoded_at_its_place_in_the_image(tiny_sam: FrozenSam) -> None:
    cell = torch.tensor([[0.625, 0.375]])  # centre of column 2, row 1 of the 4 x 4 map
    sparse, dense = tiny_sam.encode_points(cell)
    point = sparse[0, 0] - tiny_sam.prompt_encoder.point_embeddings[1].weight[0]
    torch.testing.assert_close(point, tiny_sam.position_encoding()[0, :, 1, 2])
    assert dense.shape == (1, 16, 4, 4)


def test_positions_keep_full_precision_under_autocast(tiny_sam: FrozenSam) -> None:
    points = torch.rand(3, 2)
    expected = (*tiny_sam.encode_points(points), tiny_sam.position_encoding())
    with torch.autocast("cpu", torch.bfloat16):
        got = (*tiny_sam.encode_points(points), tiny_sam.position_encoding())
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_every_point_gets_three_masks_whatever_other_points_there_are(tiny_sam: FrozenSam) -> None:
    torch.manual_seed(5)
    embedding, points = torch.randn(1, 16, 4, 4), torch.rand(5, 2)
    logits, iou = tiny_sam.decode_points(embedding, points)
    assert logits.shape == (5, 3, 16, 16)
    assert iou.shape == (5, 3)
    torch.testing.assert_close(tiny_sam.decode_points(embedding, points[2:3])[0], logits[2:3])


def test_points_of_several_images_at_once_are_refused(tiny_sam: FrozenSam) -> None:
    with pytest.raises(ValueError, match="one image, got 2"):
        tiny_sam.decode_points(torch.zeros(2, 16, 4, 4), torch.zeros(1, 2))


def test_the_conv_stem_takes_the_place_of_the_patch_embedding() -> None:
    sam = vit_sam(
        image_size=64, embed_dim=16, depth=1, heads=2, channels=16, conv_stem=(4, 8, 8)
    ).eval()
    assert isinstance(sam.image_encoder.patch_embed, ConvStem)
    embedding = sam.encode(torch.rand(2, 3, 32, 32) * 255, [(32, 32)] * 2)
    assert embedding.shape == (2, 16, 4, 4)


def test_a_conv_stem_of_another_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="patches of 16 pixels"):
        vit_sam(image_size=32, embed_dim=16, depth=1, heads=2, channels=16, conv_stem=(4, 8))


def test_nano_embeds_a_scene_in_16_x_16_cells_and_can_learn() -> None:
    sam = build_nano_sam()
    embedding = sam.encode(torch.rand(1, 3, 192, 256) * 255, [(192, 256)])
    assert embedding.shape == (1, sam.channels, 16, 16)
    logits, iou = sam.decode_points(embedding, torch.rand(2, 2))
    (logits.mean() + iou.mean()).backward()
    assert all(_has_gradient(sam, name) for name in ("image_encoder.patch_embed.proj.weight",))


def _has_gradient(sam: FrozenSam, name: str) -> bool:
    gradient: Tensor | None = sam.get_parameter(name).grad
    return gradient is not None and bool(gradient.abs().sum() > 0)
