"""SAM's mask decoder for many points: segment-anything's numbers, in less time."""

import pytest
import torch
from torch import Tensor

from frozenseg_label.model.sam import DecoderSizes, FrozenSam, vit_sam


@pytest.fixture(scope="module")
def sam() -> FrozenSam:
    torch.manual_seed(0)
    decoder = DecoderSizes(heads=4, feedforward=32, iou_hidden=16)
    sam = vit_sam(image_size=80, embed_dim=8, depth=1, heads=2, channels=32, decoder=decoder)
    for parameter in sam.mask_decoder.parameters():  # biases and norms that are not 0 and 1
        torch.nn.init.normal_(parameter, std=0.3)
    return sam.eval()


@pytest.fixture(scope="module")
def embedding() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 32, 5, 5)


POINTS = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.95, 0.2]])


def published(sam: FrozenSam, embedding: Tensor) -> tuple[Tensor, Tensor]:
    """What segment-anything's own decoder makes of the points."""
    sparse, dense = sam.encode_points(POINTS)
    masks, ratings = sam.mask_decoder(
        image_embeddings=embedding,
        image_pe=sam.position_encoding(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    return masks, ratings


def test_masks_and_ratings_equal_segment_anythings_own(sam: FrozenSam, embedding: Tensor) -> None:
    masks, ratings = published(sam, embedding)
    own_masks, own_ratings = sam.decode_points(embedding, POINTS)
    assert masks.std() > 0.1
    torch.testing.assert_close(own_masks, masks, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own_ratings, ratings, atol=1e-4, rtol=1e-4)


def test_gradients_equal_segment_anythings_own(sam: FrozenSam, embedding: Tensor) -> None:
    weights = dict(sam.mask_decoder.named_parameters())
    by_way = []
    for masks, ratings in (published(sam, embedding), sam.decode_points(embedding, POINTS)):
        loss = masks.square().mean() + ratings.square().mean()
        by_way.append(torch.autograd.grad(loss, list(weights.values()), allow_unused=True))
    for name, theirs, own in zip(weights, *by_way, strict=True):
        if own is None:  # what makes the one mask of unambiguous prompts is not asked
            assert not theirs.any()
            continue
        bound = 1e-3 * float(theirs.abs().max())
        torch.testing.assert_close(own, theirs, atol=max(bound, 1e-6), rtol=1e-3, msg=name)


def test_some_of_the_points_are_drawn_as_if_all_were(sam: FrozenSam, embedding: Tensor) -> None:
    answers = sam.ask_points(embedding, POINTS)
    some = torch.tensor([True, False, True])
    torch.testing.assert_close(sam.draw_masks(answers.of(some)), sam.draw_masks(answers)[some])


def test_half_precision_is_near(sam: FrozenSam, embedding: Tensor) -> None:
    masks, _ = sam.decode_points(embedding, POINTS)
    with torch.autocast("cpu", torch.bfloat16):
        coarse, _ = sam.decode_points(embedding, POINTS)
    assert ((coarse > 0) == (masks > 0)).float().mean() > 0.95
