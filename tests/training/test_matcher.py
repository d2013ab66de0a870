"""The matcher finds the cheapest pairs."""

import torch

from frozenseg_label.training.matcher import (
    match_targets,
    pairwise_cross_entropy,
    pairwise_dice,
)

POINTS = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))


def halves() -> torch.Tensor:
    """The left and the right half of an image, [2, 8, 8]."""
    masks = torch.zeros(2, 8, 8)
    masks[0, :, :4] = 1.0
    masks[1, :, 4:] = 1.0
    return masks


def test_masks_find_their_targets_whatever_their_order() -> None:
    masks = halves()
    logits = torch.stack([torch.zeros(8, 8), masks[1] * 20 - 10, masks[0] * 20 - 10])  # [3, 8, 8]

    match = match_targets(torch.zeros(3, 5), logits, torch.tensor([0, 1]), masks, POINTS)

    assert match.queries.tolist() == [1, 2]
    assert match.targets.tolist() == [1, 0]


def test_between_equal_masks_the_class_decides() -> None:
    logits = torch.zeros(2, 8, 8)
    classes = torch.tensor([[0.0, 5.0, 0.0], [5.0, 0.0, 0.0]])  # the first query says class 1

    match = match_targets(classes, logits, torch.tensor([0, 1]), halves(), POINTS)

    assert match.targets.tolist() == [1, 0]


def test_an_image_without_targets_has_no_pairs() -> None:
    match = match_targets(
        torch.zeros(3, 5), torch.zeros(3, 8, 8), torch.empty(0).long(), torch.empty(0, 8, 8), POINTS
    )
    assert match.queries.numel() == match.targets.numel() == 0


def test_more_targets_than_queries_leave_targets_over() -> None:
    match = match_targets(
        torch.zeros(1, 5), torch.zeros(1, 8, 8), torch.tensor([0, 1]), halves(), POINTS
    )
    assert match.queries.tolist() == [0]


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
