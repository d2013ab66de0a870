"""The losses in the cases that the golden fixtures do not hold."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from frozenseg_label.training.data.targets import Targets
from frozenseg_label.training.loss.criterion import Criterion, Divisors, LayerPrediction, LossTerms
from frozenseg_label.training.loss.point_sampling import Draw

QUERIES, CLASSES, VOID = 4, 3, 3
CRITERION = Criterion(num_points=64)
NOTHING = Targets(torch.empty(0).long(), torch.empty(0, 32, 32))


def draw(shape: tuple[int, ...]) -> Tensor:
    """Return the same points for every mask, at every call."""
    return torch.rand(shape[1:], generator=torch.Generator().manual_seed(7)).expand(shape)


def random_prediction(images: int, seed: int = 0) -> LayerPrediction:
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(images, QUERIES, CLASSES + 1, generator=generator)
    masks = torch.randn(images, QUERIES, 8, 8, generator=generator)
    return LayerPrediction(classes.requires_grad_(), masks.requires_grad_())


def square(left: int = 4) -> Tensor:
    """Return a square with a side of 16 pixels in a map of 32 x 32."""
    mask = torch.zeros(32, 32)
    mask[4:20, left : left + 16] = 1.0
    return mask


def one_square(label: int = 1, weight: float = 1.0) -> Targets:
    return Targets(torch.tensor([label]), square()[None], torch.tensor([weight]))


def divisors_of(targets: Sequence[Targets]) -> Divisors:
    return CRITERION.divisors([target.target_weights for target in targets], QUERIES)


def terms_of(
    prediction: LayerPrediction,
    targets: Sequence[Targets],
    divisors: Divisors | None = None,
    draws: Sequence[Draw] | None = None,
) -> LossTerms:
    """Return the losses of some images; by default these are the whole step."""
    return CRITERION.layer_terms(
        prediction, targets, divisors or divisors_of(targets), draws or [draw] * len(targets)
    )


def image_of(prediction: LayerPrediction, image: int) -> LayerPrediction:
    return LayerPrediction(*(values[image : image + 1] for values in prediction))


def test_two_halves_of_a_batch_add_up_to_the_whole() -> None:
    prediction = random_prediction(3)
    targets = [one_square(), NOTHING, one_square(2, weight=3.0)]
    divisors = divisors_of(targets)
    together = terms_of(prediction, targets, divisors)
    parts = [
        terms_of(image_of(prediction, i), [target], divisors) for i, target in enumerate(targets)
    ]
    for name, whole in together._asdict().items():
        torch.testing.assert_close(torch.stack([getattr(p, name) for p in parts]).sum(), whole)


def test_the_divisors_of_two_halves_add_up_to_those_of_the_whole() -> None:
    targets = [one_square(), NOTHING, one_square(2, weight=3.0)]
    whole, first, rest = divisors_of(targets), divisors_of(targets[:1]), divisors_of(targets[1:])
    assert whole == pytest.approx([a + b for a, b in zip(first, rest, strict=True)])


def test_a_single_target_costs_the_same_over_several_processes() -> None:
    prediction, targets = random_prediction(2), [one_square(), NOTHING]
    alone = terms_of(prediction, targets)
    halves = Divisors(*(divisor / 2 for divisor in divisors_of(targets)))  # as for two processes
    of_both = [terms_of(image_of(prediction, i), [t], halves) for i, t in enumerate(targets)]
    for name, whole in alone._asdict().items():
        mean = torch.stack([getattr(terms, name) for terms in of_both]).mean()
        torch.testing.assert_close(mean, whole)


def test_queries_count_by_their_targets_or_a_tenth() -> None:
    assert divisors_of([one_square(weight=3.0), NOTHING]) == pytest.approx((3.0 + 0.7, 3.0))


def test_where_targets_outnumber_the_queries_all_queries_are_of_mean_weight() -> None:
    weights = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 7.0])
    assert CRITERION.divisors([weights], QUERIES) == pytest.approx((8.0, 12.0))


def test_more_targets_than_queries_cost_what_the_matched_ones_do() -> None:
    masks = torch.stack([square(left) for left in (0, 2, 4, 8, 12, 16)])
    crowd = Targets(torch.tensor([0, 1, 2, 0, 1, 2]), masks)
    prediction = random_prediction(1)
    terms = terms_of(prediction, [crowd])
    CRITERION.weighted(torch.stack(terms)[None]).backward()
    assert all(term.isfinite() for term in terms)
    (match,) = CRITERION.match(prediction, [crowd], [draw])
    assert len(match.targets) == QUERIES
    right = prediction.class_logits[0].log_softmax(-1)[match.queries, crowd.labels[match.targets]]
    torch.testing.assert_close(terms.classification, -right.mean())


def test_a_step_without_any_target_teaches_void_only() -> None:
    prediction = random_prediction(1)
    terms = terms_of(prediction, [NOTHING])
    CRITERION.weighted(torch.stack(terms)[None]).backward()

    assert terms.mask == terms.dice == 0.0
    assert prediction.mask_logits.grad is not None
    assert not prediction.mask_logits.grad.any()
    assert prediction.class_logits.grad is not None
    assert (prediction.class_logits.grad[..., -1] < 0).all()  # more void is better everywhere


def test_a_query_without_target_weighs_a_tenth_of_one_with() -> None:
    classes = torch.zeros(1, QUERIES, CLASSES + 1)
    classes[0, :, 0] = 3.0
    prediction = LayerPrediction(classes, random_prediction(1).mask_logits)
    right, wrong = -classes[0, 0].log_softmax(-1)[0], -classes[0, 0].log_softmax(-1)[VOID]
    terms = terms_of(prediction, [one_square(label=0)])
    torch.testing.assert_close(terms.classification, (right + 3 * 0.1 * wrong) / 1.3)


def test_a_target_of_weight_three_costs_as_three_alike_would() -> None:
    prediction = random_prediction(1)
    once, heavy = one_square(), one_square(weight=3.0)
    same = Divisors(1.0, 1.0)
    one, three = terms_of(prediction, [once], same), terms_of(prediction, [heavy], same)
    torch.testing.assert_close(three.mask, 3 * one.mask)
    torch.testing.assert_close(three.dice, 3 * one.dice)
    (match,) = CRITERION.match(prediction, [once], [draw])
    (query,) = match.queries.tolist()
    right = -prediction.class_logits[0, query].log_softmax(-1)[1]
    torch.testing.assert_close(three.classification - one.classification, 2 * right)


def test_alone_in_a_step_a_target_costs_the_same_whatever_its_weight() -> None:
    prediction = random_prediction(1)
    one, three = terms_of(prediction, [one_square()]), terms_of(prediction, [one_square(1, 3.0)])
    torch.testing.assert_close(three.mask, one.mask)
    torch.testing.assert_close(three.dice, one.dice)


def test_targets_between_zero_and_one_are_taken_as_they_are() -> None:
    blurred = Targets(torch.tensor([0]), torch.full((1, 32, 32), 0.5))
    confident = LayerPrediction(torch.zeros(1, 1, 4), torch.full((1, 1, 8, 8), 8.0))
    unsure = LayerPrediction(torch.zeros(1, 1, 4), torch.zeros(1, 1, 8, 8))
    assert terms_of(unsure, [blurred]).mask < terms_of(confident, [blurred]).mask


def test_the_total_weighs_two_five_five_over_all_layers() -> None:
    terms = terms_of(random_prediction(1), [one_square()])
    total = CRITERION.weighted(torch.stack(terms).expand(2, 3))
    expected = 2 * (2 * terms.classification + 5 * terms.mask + 5 * terms.dice)
    assert total.item() == pytest.approx(expected.item())


def test_masks_of_two_sizes_in_one_batch_are_refused() -> None:
    small = Targets(torch.tensor([0]), torch.ones(1, 16, 16))
    with pytest.raises(RuntimeError, match="Sizes of tensors"):
        terms_of(random_prediction(2), [one_square(), small])
