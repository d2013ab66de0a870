"""Things from masks of one row of four pixels."""

import pytest
import torch

from frozenseg_label.inference.instance_masks import InstanceMasks, instance_masks
from frozenseg_label.model.proposals import ClassifiedMasks
from frozenseg_label.vocabulary import Category, Vocabulary

WORDS = Vocabulary(
    "pets",
    (Category("cat", 10), Category("dog", 20), Category("sky", 30, is_thing=False)),
)
SIZE = (1, 4)


def take(logits: list[list[float]], probs: list[list[float]], top: int = 100) -> InstanceMasks:
    masks = ClassifiedMasks(
        torch.tensor(logits)[:, None], torch.tensor(probs), torch.zeros(len(logits))
    )
    return instance_masks(masks, SIZE, SIZE, SIZE, WORDS, top=top)


def test_one_mask_stands_under_every_thing_category_best_first() -> None:
    result = take([[99.0, 99.0, -99.0, -99.0]], [[0.2, 0.5, 0.1, 0.2]])
    assert result.category_ids.tolist() == [20, 10]
    assert result.scores.tolist() == pytest.approx([0.5, 0.2])
    assert result.masks.tolist() == [[[True, True, False, False]]] * 2


def test_stuff_takes_places_before_it_is_dropped() -> None:
    result = take([[9.0] * 4], [[0.2, 0.1, 0.6, 0.1]], top=2)
    assert result.category_ids.tolist() == [10]


def test_a_score_is_weighted_with_the_mean_probability_of_the_foreground() -> None:
    odds_of_three = torch.tensor(3.0).log().item()  # probability 0.75
    result = take([[99.0, odds_of_three, -99.0, 0.0]], [[0.8, 0.0, 0.0, 0.2]], top=1)
    assert result.scores.tolist() == pytest.approx([0.8 * (1 + 0.75) / 2])
    assert result.masks.tolist() == [[[True, True, False, False]]]  # a logit of 0 is outside


def test_an_empty_mask_has_score_zero() -> None:
    result = take([[-1.0] * 4, [9.0] * 4], [[0.9, 0.0, 0.0, 0.1], [0.5, 0.0, 0.0, 0.5]], top=2)
    assert result.scores.tolist() == pytest.approx([0.5, 0.0], abs=1e-3)


def test_stuff_alone_gives_no_instances() -> None:
    result = take([[9.0] * 4], [[0.0, 0.1, 0.8, 0.1]], top=1)
    assert result.masks.shape == (0, 1, 4)


def test_a_vocabulary_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="masks have 2 categories"):
        take([[9.0] * 4], [[0.2, 0.3, 0.5]])
