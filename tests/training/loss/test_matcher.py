"""The matcher finds the cheapest pairs."""

import torch

from frozenseg_label.training.loss.matcher import (
    Match,
    mask_costs,
    match_targets,
    pairwise_cross_entropy,
    pairwise_dice,
)
from frozenseg_label.training.loss.point_sampling import sample_at_points

POINTS = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))


def halves() -> torch.Tensor:
    """Return the left and the right half of an image, [2, 8, 8]."""
    masks = torch.zeros(2, 8, 8)
    masks[0, :, :4] = 1.0
    masks[1, :, 4:] = 1.0
    return masks


def match(classes: torch.Tensor, logits: torch.Tensor, masks: torch.Tensor) -> Match:
    """Match queries with targets of the classes 0, 1, ..."""
    labels = torch.arange(len(masks))
    return match_targets(classes, labels, mask_costs(logits, masks, POINTS))


def test_masks_find_their_targets_whatever_their_order() -> None:
    masks = halves()
    logits = torch.stack([torch.zeros(8, 8), masks[1] * 20 - 10, masks[0] * 20 - 10])  # [3, 8, 8]

    found = match(torch.zeros(3, 5), logits, masks)

    assert found.queries.tolist() == [1, 2]
    assert found.targets.tolist() == [1, 0]


def test_between_equal_masks_the_class_decides() -> None:
    logits = torch.zeros(2, 8, 8)
    classes = torch.tensor([[0.0, 5.0, 0.0], [5.0, 0.0, 0.0]])  # the first query says class 1

    assert match(classes, logits, halves()).targets.tolist() == [1, 0]


def test_an_image_without_targets_has_no_pairs() -> None:
    found = match(torch.zeros(3, 5), torch.zeros(3, 8, 8), torch.empty(0, 8, 8))
    assert found.queries.numel() == found.targets.numel() == 0


def test_more_targets_than_queries_leave_targets_over() -> None:
    logits = halves()[1:] * 20 - 10
    found = match(torch.zeros(1, 5), logits, halves())
    assert found.queries.tolist() == [0]
    assert found.targets.tolist() == [1]


def test_what_a_mask_costs_weighs_cross_entropy_and_dice_alike() -> None:
    logits, masks = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1)), halves()
    costs = mask_costs(logits, masks, POINTS)
    assert costs.shape == (3, 2)

    predicted = sample_at_points(logits[None], POINTS[None])[0]
    wanted = sample_at_points(masks[None], POINTS[None])[0]
    each = pairwise_cross_entropy(predicted, wanted) + pairwise_dice(predicted, wanted)
    torch.testing.assert_close(costs, 5 * each)


def test_pairwise_losses_are_those_of_each_pair_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    predicted = torch.randn(3, 50, generator=generator)
    wanted = torch.rand(2, 50, generator=generator)

    crosses, dices = pairwise_cross_entropy(predicted, wanted), pairwise_dice(predicted, wanted)

    cross = torch.nn.functional.binary_cross_entropy_with_logits(predicted[2], wanted[1])
    torch.testing.assert_close(crosses[2, 1], cross)
    inside = predicted[2].sigmoid()
    dice = 1 - (2 * (inside * wanted[1]).sum() + 1) / (inside.sum() + wanted[1].sum() + 1)
    torch.testing.assert_close(dices[2, 1], dice)
