"""Unknown pixels teach nothing; a refused segment is background for its class."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from frozenseg_label.training.data.targets import (
    FIRST_REFUSED,
    IGNORED,
    Targets,
    Truth,
    find_doubt,
    mostly_inside,
    targets_of,
)
from frozenseg_label.training.loss.criterion import Criterion, LayerPrediction, LossTerms

CRITERION = Criterion(num_points=256)
CAT, DOG, VOID = 0, 1, 2
IDS = np.array([[1, 1, 2], [0, 3, 2]], dtype=np.int32)


def box(left: int, right: int, size: int = 32) -> Tensor:
    """Return a mask of all rows of some columns, bool [32, 32]."""
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[:, left:right] = True
    return mask


def sure_of(*masks: Tensor) -> Tensor:
    """Return mask logits [1, Q, 8, 8] of exactly these masks."""
    return torch.stack([mask[2::4, 2::4] * 20.0 - 10.0 for mask in masks])[None]


def undecided(queries: int) -> Tensor:
    return torch.zeros(1, queries, VOID + 1)


def draw(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


def learn(classes: Tensor, masks: Tensor, targets: Targets) -> tuple[LossTerms, Tensor, Tensor]:
    """Return the losses of one image, and gradients of classes [Q, K + 1] and masks [Q, h, w]."""
    prediction = LayerPrediction(classes.requires_grad_(), masks.requires_grad_())
    divisors = CRITERION.divisors([targets.target_weights], classes.shape[1])
    terms = CRITERION.layer_terms(prediction, [targets], divisors, [draw])
    CRITERION.weighted(torch.stack(terms)[None]).backward()
    assert classes.grad is not None
    assert masks.grad is not None
    return terms, classes.grad[0], masks.grad[0]


def with_cat(ignored: Tensor | None = None, refused: Sequence[tuple[int, Tensor]] = ()) -> Targets:
    """Return a cat on the left quarter, with unknown regions."""
    return Targets(
        torch.tensor([CAT]),
        box(0, 8)[None],
        None,
        ignored,
        torch.tensor([label for label, _ in refused]) if refused else None,
        torch.stack([mask for _, mask in refused]) if refused else None,
    ).to(torch.device("cpu"))


def test_what_a_mask_says_of_ignored_pixels_costs_nothing() -> None:
    ignored = box(16, 32)
    honest, _, gradient = learn(undecided(1), sure_of(box(0, 8)), with_cat(ignored))
    bold, _, _ = learn(undecided(1), sure_of(box(0, 8) | box(20, 32)), with_cat(ignored))
    torch.testing.assert_close(bold.mask, honest.mask)
    torch.testing.assert_close(bold.dice, honest.dice)
    assert gradient[:, :4].any()
    assert not gradient[:, :, 5:].any()  # the fifth column is blended into the border


def test_what_a_mask_says_of_known_background_costs_something() -> None:
    honest, _, _ = learn(undecided(1), sure_of(box(0, 8)), with_cat(box(16, 32)))
    bold, _, _ = learn(undecided(1), sure_of(box(0, 16)), with_cat(box(16, 32)))
    assert bold.mask > honest.mask + 1.0


def test_an_unmatched_query_mostly_inside_an_ignored_region_learns_no_class() -> None:
    masks = sure_of(box(0, 8), box(12, 32))  # the second lies with 16 of 20 columns inside
    _, gradient, _ = learn(undecided(2), masks, with_cat(ignored=box(16, 32)))
    assert gradient[0].any()
    assert not gradient[1].any()


@pytest.mark.parametrize("left", [0, 8])
def test_an_unmatched_query_half_outside_learns_to_be_void(left: int) -> None:
    masks = sure_of(box(0, 8), box(left, 32))  # outside: half of it, and two thirds
    ignored = box(16, 32) if left == 0 else box(20, 32)
    _, gradient, _ = learn(undecided(2), masks, with_cat(ignored))
    assert gradient[1, VOID] < 0


def test_regions_finer_than_the_masks_count_by_their_share() -> None:
    stripes = torch.zeros(32, 32, dtype=torch.bool)
    stripes[:, ::4] = True  # a quarter of each cell of the masks' grid
    thick = stripes.roll(1, 1) | stripes.roll(2, 1) | stripes.roll(3, 1)
    mask = sure_of(box(8, 24))[0]
    assert mostly_inside(mask, torch.stack([stripes, thick]))[:, 0].tolist() == [False, True]


def test_an_empty_mask_lies_in_no_region() -> None:
    nothing = sure_of(box(0, 0))[0]
    assert not mostly_inside(nothing, box(0, 32)[None]).any()


def test_a_matched_query_learns_its_class_though_it_lies_in_doubt() -> None:
    masks = sure_of(box(0, 32))  # three quarters of it over ignored pixels
    _, gradient, _ = learn(undecided(1), masks, with_cat(ignored=box(8, 32)))
    assert gradient[0, CAT] < 0


def test_a_matched_query_learns_no_more_where_another_class_was_refused() -> None:
    region, masks = box(8, 32), sure_of(box(0, 32))
    _, ignored, _ = learn(undecided(1), masks.clone(), with_cat(region))
    _, refused, _ = learn(undecided(1), masks.clone(), with_cat(region, [(DOG, region)]))
    torch.testing.assert_close(refused, ignored)


def test_a_query_in_a_refused_segment_learns_that_it_is_not_this_class_and_no_more() -> None:
    region = box(16, 32)
    masks = sure_of(box(0, 8), region)
    _, gradient, _ = learn(undecided(2), masks, with_cat(region, [(DOG, region)]))
    assert gradient[1, DOG] > 0  # less of the dog
    others = gradient[1, [CAT, VOID]]
    torch.testing.assert_close(others, others.mean().expand(2))  # all other classes are left open


def test_a_refused_segment_is_background_for_its_class_and_ignored_for_others() -> None:
    region, masks = box(16, 32), sure_of(box(0, 8) | box(20, 32))
    of_cat, _, _ = learn(undecided(1), masks.clone(), with_cat(region, [(CAT, region)]))
    of_dog, _, _ = learn(undecided(1), masks.clone(), with_cat(region, [(DOG, region)]))
    ignored, _, _ = learn(undecided(1), masks.clone(), with_cat(region))
    assert of_cat.mask > ignored.mask + 1.0
    torch.testing.assert_close(of_dog.mask, ignored.mask)


def test_of_a_wholly_ignored_image_nothing_is_learnt() -> None:
    blind = Targets(torch.empty(0).long(), torch.empty(0, 32, 32), ignored=box(0, 32))
    terms, classes, masks = learn(undecided(2), sure_of(box(0, 8), box(8, 32)), blind)
    assert [term.item() for term in terms] == [0.0, 0.0, 0.0]
    assert not classes.any()
    assert not masks.any()


def test_where_all_is_known_there_is_no_doubt() -> None:
    assert find_doubt(sure_of(box(0, 8))[0], with_cat()) is None


def test_weights_are_one_where_none_are_given() -> None:
    assert with_cat().target_weights.tolist() == [1.0]


# The map of ids.


def test_every_segment_with_a_label_becomes_a_mask() -> None:
    targets = targets_of(IDS, Truth({1: 7, 2: 5, 3: 7}))
    assert targets.labels.tolist() == [7, 5, 7]
    assert targets.masks.tolist() == [
        [[True, True, False], [False, False, False]],
        [[False, False, True], [False, False, True]],
        [[False, False, False], [False, True, False]],
    ]
    assert targets.known is None


def test_segments_without_a_label_and_labels_without_pixels_are_no_targets() -> None:
    targets = targets_of(IDS, Truth({2: 5, 9: 1}))
    assert targets.labels.tolist() == [5]
    assert targets.masks.shape == (1, 2, 3)


def test_an_image_may_have_no_targets() -> None:
    targets = targets_of(IDS, Truth({}))
    assert targets.masks.shape == (0, 2, 3)
    assert targets.labels.shape == (0,)
    assert targets.labels.dtype == torch.int64


def test_weights_go_with_their_targets() -> None:
    targets = targets_of(IDS, Truth({1: 0, 2: 0, 3: 0}, weights={3: 2.5}))
    assert targets.target_weights.tolist() == [1.0, 1.0, 2.5]


def test_of_ignored_and_refused_pixels_nothing_is_known_but_what_was_refused() -> None:
    ids = np.array([[1, IGNORED, FIRST_REFUSED], [0, FIRST_REFUSED + 1, 0]], dtype=np.int32)
    targets = targets_of(ids, Truth({1: 4}, refused={FIRST_REFUSED: 4, FIRST_REFUSED + 1: 2}))
    assert targets.known is not None
    assert targets.known.tolist() == [[True, False, False], [True, False, True]]
    of_four, of_two, of_others = (targets.known_of(label) for label in (4, 2, 0))
    assert of_four is not None
    assert of_two is not None
    assert of_others is not None
    assert of_four.tolist() == [[True, False, True], [True, False, True]]
    assert of_two.tolist() == [[True, False, False], [True, True, True]]
    assert torch.equal(of_others, targets.known)
