"""What the losses do where the golden fixture says nothing."""

import pytest
import torch
from torch import Tensor

from frozenseg_label.training.criterion import Criterion, LayerPrediction, Targets


def draw(shape: tuple[int, ...]) -> Tensor:
    """The same points for every mask, at every call."""
    return torch.rand(shape[1:], generator=torch.Generator().manual_seed(7)).expand(shape)


def random_prediction(images: int, seed: int = 0) -> LayerPrediction:
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(images, 4, 4, generator=generator)
    masks = torch.randn(images, 4, 8, 8, generator=generator)
    return LayerPrediction(classes.requires_grad_(), masks.requires_grad_())


def one_square(label: int = 1) -> Targets:
    masks = torch.zeros(1, 32, 32)
    masks[0, 4:20, 4:20] = 1.0
    return Targets(torch.tensor([label]), masks)


NOTHING = Targets(torch.empty(0).long(), torch.empty(0, 32, 32))
CRITERION = Criterion(num_points=64)


def test_mask_terms_are_divided_by_the_number_of_targets_that_is_given() -> None:
    prediction, targets = random_prediction(1), [one_square()]
    once = CRITERION.layer_terms(prediction, targets, 1.0, draw)
    shared = CRITERION.layer_terms(prediction, targets, 4.0, draw)

    torch.testing.assert_close(shared.mask, once.mask / 4)
    torch.testing.assert_close(shared.dice, once.dice / 4)
    assert shared.classification == once.classification


def test_two_processes_that_know_the_global_count_add_up_to_one() -> None:
    """Sums over (all targets / processes), averaged over processes, are the one-process loss."""
    prediction = random_prediction(2)
    targets = [one_square(), one_square(2)]
    together = CRITERION.layer_terms(prediction, targets, 2.0, draw)
    halves = [
        CRITERION.layer_terms(
            LayerPrediction(*(t[i : i + 1] for t in prediction)), [targets[i]], 2 / 2, draw
        )
        for i in range(2)
    ]
    torch.testing.assert_close((halves[0].mask + halves[1].mask) / 2, together.mask)
    torch.testing.assert_close((halves[0].dice + halves[1].dice) / 2, together.dice)


def test_fewer_than_one_target_counts_as_one() -> None:
    prediction, targets = random_prediction(1), [one_square()]
    half = CRITERION.layer_terms(prediction, targets, 0.5, draw)
    one = CRITERION.layer_terms(prediction, targets, 1.0, draw)
    assert half.mask == one.mask


def test_an_image_without_targets_teaches_void_only() -> None:
    prediction = random_prediction(1)
    terms = CRITERION.layer_terms(prediction, [NOTHING], 0.0, draw)
    CRITERION.total([terms]).backward()

    assert terms.mask == terms.dice == 0.0
    assert prediction.mask_logits.grad is not None
    assert not prediction.mask_logits.grad.any()
    assert prediction.class_logits.grad is not None
    assert (prediction.class_logits.grad[..., -1] < 0).all()  # more void is better everywhere


def test_a_query_without_target_weighs_a_tenth_of_one_with() -> None:
    classes = torch.zeros(1, 4, 4)
    classes[0, :, 0] = 3.0
    terms = CRITERION.layer_terms(
        LayerPrediction(classes, random_prediction(1).mask_logits), [one_square(label=0)], 1.0, draw
    )
    right, wrong = -classes[0, 0].log_softmax(-1)[0], -classes[0, 0].log_softmax(-1)[3]
    torch.testing.assert_close(terms.classification, (right + 3 * 0.1 * wrong) / 1.3)


def test_targets_between_zero_and_one_are_taken_as_they_are() -> None:
    blurred = Targets(torch.tensor([0]), torch.full((1, 32, 32), 0.5))
    confident = LayerPrediction(torch.zeros(1, 1, 4), torch.full((1, 1, 8, 8), 8.0))
    unsure = LayerPrediction(torch.zeros(1, 1, 4), torch.zeros(1, 1, 8, 8))
    assert CRITERION.layer_terms(unsure, [blurred], 1.0, draw).mask < (
        CRITERION.layer_terms(confident, [blurred], 1.0, draw).mask
    )


def test_the_total_weighs_two_five_five_over_all_layers() -> None:
    terms = CRITERION.layer_terms(random_prediction(1), [one_square()], 1.0, draw)
    total = CRITERION.total([terms, terms])
    expected = 2 * (2 * terms.classification + 5 * terms.mask + 5 * terms.dice)
    assert total.item() == pytest.approx(expected.item())


def test_masks_of_two_sizes_in_one_batch_are_refused() -> None:
    small = Targets(torch.tensor([0]), torch.ones(1, 16, 16))
    with pytest.raises(RuntimeError, match="Sizes of tensors"):
        CRITERION.layer_terms(random_prediction(2), [one_square(), small], 2.0, draw)
