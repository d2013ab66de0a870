"""One category per pixel, from the votes of all masks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference import mask_tiles
from frozenseg_label.inference.semantic_map import (
    Votes,
    query_votes,
    semantic_map,
    semantic_tiles,
)
from frozenseg_label.model.proposals import ClassifiedMasks

SIZES = (32, 40), (30, 37), (45, 52)  # padded, image, output


def random_masks() -> ClassifiedMasks:
    torch.manual_seed(0)
    return ClassifiedMasks(
        torch.randn(1, 9, 8, 10) * 4, torch.randn(1, 9, 6).softmax(-1), torch.zeros(1, 9)
    )


def all_scores(resize_first: bool) -> Tensor:
    votes = [query_votes(random_masks())]
    tiles = semantic_tiles(votes, *SIZES, resize_first=resize_first)
    return torch.cat([tile for _, tile in tiles], dim=1)


@pytest.mark.parametrize("resize_first", [True, False])
def test_the_height_of_tiles_changes_nothing(
    resize_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = all_scores(resize_first)
    monkeypatch.setattr(mask_tiles, "TILE_VALUES", 1)  # every row is a tile
    torch.testing.assert_close(all_scores(resize_first), whole, atol=1e-6, rtol=1e-6)


def test_every_mask_votes_with_its_class_probabilities_without_void() -> None:
    masks = ClassifiedMasks(
        torch.tensor([[[99.0, -99.0]], [[99.0, 99.0]]]),  # two masks on two pixels
        torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]]),
        torch.zeros(2),
    )
    ((_, scores),) = semantic_tiles([query_votes(masks)], (1, 2), (1, 2), (1, 2))
    torch.testing.assert_close(scores[:, 0], torch.tensor([[0.6, 0.1], [0.8, 0.6]]))
    best = semantic_map([query_votes(masks)], (1, 2), (1, 2), (1, 2))
    assert best.tolist() == [[1, 1]]


def test_scores_that_are_resized_afterwards_lie_between_those_before() -> None:
    logits = torch.tensor([[[0.0, 99.0]]])
    votes = [Votes(logits, torch.tensor([[1.0]]))]
    ((_, scores),) = semantic_tiles(votes, (1, 2), (1, 2), (1, 4), resize_first=False)
    torch.testing.assert_close(scores[0, 0], torch.tensor([0.5, 0.625, 0.875, 1.0]))
    ((_, scores),) = semantic_tiles(votes, (1, 2), (1, 2), (1, 4))
    assert scores[0, 0, 1] > 0.99  # the logit is 24.75 there


def test_votes_of_two_kinds_of_masks_add_up() -> None:
    masks = torch.tensor([[[99.0, -99.0, 99.0, 99.0]]])  # the padded image, two columns of padding
    image = torch.tensor([[[-99.0, 99.0]]])  # the image alone
    votes = [
        Votes(masks, torch.tensor([[0.25]])),
        Votes(image, torch.tensor([[0.5]]), with_padding=False),
    ]
    ((_, scores),) = semantic_tiles(votes, (1, 4), (1, 2), (1, 2))
    torch.testing.assert_close(scores[0, 0], torch.tensor([0.25, 0.5]))


def test_the_map_takes_the_best_category_of_each_pixel() -> None:
    best = semantic_map([query_votes(random_masks())], *SIZES)
    assert best.shape == (45, 52)
    assert best.dtype == np.uint16
    assert (best == all_scores(resize_first=True).argmax(dim=0).numpy()).all()


@pytest.mark.parametrize("resize_first", [True, False])
def test_tiles_equal_what_plain_torch_makes_of_everything_at_once(resize_first: bool) -> None:
    masks = random_masks()
    padded, image, output = SIZES
    x = F.interpolate(masks.mask_logits, padded, mode="bilinear")[..., : image[0], : image[1]]
    if resize_first:
        x = F.interpolate(x, output, mode="bilinear")
    scores = torch.einsum("qk,qhw->khw", masks.class_probs[0, :, :-1], x[0].sigmoid())
    if not resize_first:
        scores = F.interpolate(scores[None], output, mode="bilinear")[0]
    torch.testing.assert_close(all_scores(resize_first), scores, atol=1e-6, rtol=1e-6)
