"""Matching, losses and gradients meet those of the published criterion, draw for draw."""

from collections.abc import Collection

import pytest
import torch
from torch import Tensor

from frozenseg_label.training.criterion import Criterion, LayerPrediction, LossTerms, Targets
from frozenseg_label.training.point_sampling import Draw
from tests.parity.conftest import Golden

HEADS = ("final", "aux.0", "aux.1", "aux.2")  # the order in which the draws were recorded


def recorded_draws(golden: Golden, skip: Collection[int] = ()) -> Draw:
    """Give the recorded draws one after another and insist on the shapes."""
    recorded = iter(
        v for i, (_, v) in enumerate(sorted(golden.tensors("rand").items())) if i not in skip
    )

    def draw(shape: tuple[int, ...]) -> Tensor:
        given = next(recorded)
        assert given.shape == shape
        return given

    return draw


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
    criterion, draw = Criterion(num_points=golden.config["num_points"]), recorded_draws(golden)
    targets = read_targets(golden)
    num_targets = sum(golden.config["targets_per_image"])
    return [criterion.layer_terms(p, targets, num_targets, draw) for p in predictions]


@pytest.mark.golden("loss_*")
def test_every_target_finds_the_published_query(golden: Golden) -> None:
    criterion = Criterion(num_points=golden.config["num_points"])
    mask_loss_draws = [i for i in range(4 * len(HEADS)) if i % 4 >= golden.config["batch"]]
    draw = recorded_draws(golden, skip=mask_loss_draws)
    targets = read_targets(golden)
    for head, prediction in zip(HEADS, read_predictions(golden), strict=True):
        expected = golden.tensors(f"outputs.{head}.indices")
        for image, match in enumerate(criterion.match(prediction, targets, draw)):
            assert match.queries.tolist() == expected[f"{image}.pred"].tolist()
            assert match.targets.tolist() == expected[f"{image}.target"].tolist()


@pytest.mark.golden("loss_*")
def test_losses_and_gradients_meet_the_published_ones(golden: Golden) -> None:
    predictions = read_predictions(golden)
    layers = all_terms(golden, predictions)
    total = Criterion().total(layers)
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
