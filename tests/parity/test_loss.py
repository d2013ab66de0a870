"""Matching, losses and gradients meet those of the published criterion, draw for draw."""

import pytest
import torch
from torch import Tensor

from frozenseg_label.training.data.targets import Targets
from frozenseg_label.training.loss.criterion import Criterion, LayerPrediction, LossTerms
from frozenseg_label.training.loss.point_sampling import Draw
from tests.parity.conftest import Golden

HEADS = ("final", "aux.0", "aux.1", "aux.2")  # the order in which the draws were recorded


def recorded_draws(golden: Golden, *, masks: bool = True) -> list[Draw]:
    """Give each image its rows of the recorded draws, one after another; check the shapes.

    For each head, one draw per image was recorded for the matching, then two for the masks of all
    images together. The published matcher draws for an image without targets, too; ours does not,
    so that draw is left out. Without any target in the batch, ours draws nothing for the masks.

    Args:
        masks: False leaves out the draws for the mask losses.
    """
    recorded = [value for _, value in sorted(golden.tensors("rand").items())]
    counts = golden.config["targets_per_image"]
    images, per_head = len(counts), len(recorded) // len(HEADS)
    ends = [sum(counts[: image + 1]) for image in range(images)]

    def of_image(image: int) -> Draw:
        rows = slice(ends[image] - counts[image], ends[image])
        own = []
        for start in range(0, len(recorded), per_head):
            if counts[image]:
                own.append(recorded[start + image])
            if masks and sum(counts):
                own += [draws[rows] for draws in recorded[start + images : start + per_head]]
        given = iter(own)

        def draw(shape: tuple[int, ...]) -> Tensor:
            values = next(given)
            assert values.shape == shape
            return values

        return draw

    return [of_image(image) for image in range(images)]


def read_targets(golden: Golden) -> list[Targets]:
    given = golden.tensors("inputs.targets")
    return [
        Targets(given[f"{image}.labels"], given[f"{image}.masks"].float())
        for image in range(golden.config["batch"])
    ]


def read_predictions(golden: Golden) -> list[LayerPrediction]:
    inputs = [golden.tensors(f"inputs.{head}") for head in HEADS]
    return [
        LayerPrediction(i["pred_logits"].requires_grad_(), i["pred_masks"].requires_grad_())
        for i in inputs
    ]


def all_terms(golden: Golden, predictions: list[LayerPrediction]) -> list[LossTerms]:
    criterion, draws = Criterion(num_points=golden.config["num_points"]), recorded_draws(golden)
    targets = read_targets(golden)
    queries = predictions[0].class_logits.shape[1]
    divisors = criterion.divisors([target.target_weights for target in targets], queries)
    return [criterion.layer_terms(p, targets, divisors, draws) for p in predictions]


@pytest.mark.golden("loss_*")
def test_every_target_finds_the_published_query(golden: Golden) -> None:
    criterion = Criterion(num_points=golden.config["num_points"])
    draws = recorded_draws(golden, masks=False)
    targets = read_targets(golden)
    for head, prediction in zip(HEADS, read_predictions(golden), strict=True):
        expected = golden.tensors(f"outputs.{head}.indices")
        for image, match in enumerate(criterion.match(prediction, targets, draws)):
            assert match.queries.tolist() == expected[f"{image}.pred"].tolist()
            assert match.targets.tolist() == expected[f"{image}.target"].tolist()


@pytest.mark.golden("loss_*")
def test_losses_and_gradients_meet_the_published_ones(golden: Golden) -> None:
    predictions = read_predictions(golden)
    layers = all_terms(golden, predictions)
    total = Criterion().weighted(torch.stack([torch.stack(terms) for terms in layers]))
    total.backward()

    outputs = golden.tensors("outputs")
    for suffix, terms in zip(("", "_0", "_1", "_2"), layers, strict=True):
        for name, value in zip(("ce", "mask", "dice"), terms, strict=True):
            torch.testing.assert_close(value, outputs[f"loss_{name}{suffix}"], **golden.bounds())
    torch.testing.assert_close(total, outputs["total_weighted"], **golden.bounds())
    for head, prediction in zip(HEADS, predictions, strict=True):
        gradients = golden.tensors(f"grads.{head}")
        torch.testing.assert_close(
            prediction.class_logits.grad, gradients["pred_logits"], **golden.bounds()
        )
        torch.testing.assert_close(
            prediction.mask_logits.grad, gradients["pred_masks"], **golden.bounds()
        )
