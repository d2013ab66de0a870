"""One category per pixel, from the votes of all masks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference import mask_tiles
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.inference.semantic_map import (
    Votes,
    query_votes,
    semantic_map,
    semantic_tiles,
)
from frozenseg_label.model.proposals import ClassifiedMasks

FRAMING = Framing(padded=(32, 40), image=(30, 37), original=(45, 52))


def random_masks() -> ClassifiedMasks:
    torch.manual_seed(0)
    return ClassifiedMasks(
        torch.randn(1, 9, 8, 10) * 4, torch.randn(1, 9, 6).softmax(-1), torch.zeros(1, 9)
    )


def all_scores() -> Tensor:
    tiles = semantic_tiles([query_votes(random_masks())], FRAMING)
    return torch.cat([tile for _, tile in tiles], dim=1)


def test_the_height_of_tiles_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = all_scores()
    monkeypatch.setattr(mask_tiles, "TILE_VALUES", 1)  # every row is a tile
    torch.testing.assert_close(all_scores(), whole, atol=1e-6, rtol=1e-6)


def test_every_mask_votes_with_its_class_probabilities_without_void() -> None:
    masks = ClassifiedMasks(
        torch.tensor([[[99.0, -99.0]], [[99.0, 99.0]]]),  # two masks on two pixels
        torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]]),
        torch.zeros(2),
    )
    framing = Framing((1, 2), (1, 2), (1, 2))
    ((_, scores),) = semantic_tiles([query_votes(masks)], framing)
    torch.testing.assert_close(scores[:, 0], torch.tensor([[0.6, 0.1], [0.8, 0.6]]))
    best = semantic_map([query_votes(masks)], framing)
    assert best.tolist() == [[1, 1]]


def test_logits_are_resized_before_they_become_probabilities() -> None:
    votes = [Votes(torch.tensor([[[0.0, 99.0]]]), torch.tensor([[1.0]]))]
    ((_, scores),) = semantic_tiles(votes, Framing((1, 2), (1, 2), (1, 4)))
    assert scores[0, 0, 1] > 0.99  # the logit is 24.75 there; the mean probability is 0.625


def test_votes_of_two_kinds_of_masks_add_up() -> None:
    fine = torch.tensor([[[99.0, -99.0, 99.0, 99.0]]])  # two columns of padding
    coarse = torch.tensor([[[99.0, -99.0]]])
    votes = [Votes(fine, torch.tensor([[0.25]])), Votes(coarse, torch.tensor([[0.5]]))]
    ((_, scores),) = semantic_tiles(votes, Framing((1, 4), (1, 2), (1, 2)))
    torch.testing.assert_close(scores[0, 0], torch.tensor([0.75, 0.5]))


def test_the_map_takes_the_best_category_of_each_pixel() -> None:
    best = semantic_map([query_votes(random_masks())], FRAMING)
    assert best.shape == (45, 52)
    assert best.dtype == np.uint16
    assert (best == all_scores().argmax(dim=0).numpy()).all()


def test_tiles_equal_what_plain_torch_makes_of_everything_at_once() -> None:
    masks = random_masks()
    height, width = FRAMING.image
    x = F.interpolate(masks.mask_logits, FRAMING.padded, mode="bilinear")[..., :height, :width]
    x = F.interpolate(x, FRAMING.original, mode="bilinear")
    scores = torch.einsum("qk,qhw->khw", masks.class_probs[0, :, :-1], x[0].sigmoid())
    torch.testing.assert_close(all_scores(), scores, atol=1e-6, rtol=1e-6)
