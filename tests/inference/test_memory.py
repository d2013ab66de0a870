"""A memory of named segments gives their names to what looks like them, and to nothing else."""

import math

import pytest
import torch
from torch import Tensor

from frozenseg_label.inference.memory import WEIGHTS, Memory, Recall

CAT, DOG, SKY = 0, 1, 2


def at(*degrees: float) -> Tensor:
    """Unit vectors in a plane, by their angle."""
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def by_words(*rows: list[float]) -> Tensor:
    """Class probabilities, void last."""
    return torch.tensor(rows)


def everywhere(masks: Tensor) -> Tensor:
    return torch.ones(len(masks), dtype=torch.bool)


def test_a_mask_like_a_corrected_segment_gets_its_class_and_is_as_likely_void_as_before() -> None:
    memory = Memory(at(0.0), torch.tensor([DOG]))
    words = by_words([0.5, 0.2, 0.1, 0.2])
    mixed = memory.mixed(words, 7 * at(5.0), everywhere(words))
    assert int(mixed[0, :-1].argmax()) == DOG
    assert mixed[0, -1] == pytest.approx(0.2)
    assert mixed.sum().item() == pytest.approx(1)


def test_a_mask_that_is_like_nothing_corrected_keeps_the_class_of_its_words() -> None:
    memory = Memory(at(0.0), torch.tensor([DOG]))
    words = by_words([0.5, 0.2, 0.1, 0.2])
    assert torch.allclose(memory.mixed(words, at(90.0), everywhere(words)), words, atol=2e-3)


def test_one_vote_at_the_same_place_adds_the_weight_to_the_logarithm() -> None:
    memory = Memory(at(0.0), torch.tensor([DOG]), recall=Recall(1, 0.1, weight=math.log(3)))
    words = by_words([0.5, 0.5, 0.0, 0.0])
    mixed = memory.mixed(words, at(0.0), everywhere(words))
    assert mixed[0, :2].tolist() == pytest.approx([0.25, 0.75])


def test_only_the_nearest_segments_vote() -> None:
    memory = Memory(at(0.0, 10.0, 11.0), torch.tensor([DOG, CAT, CAT]), recall=Recall(1, 1.0, 1.0))
    words = by_words([0.3, 0.3, 0.3, 0.1])
    assert int(memory.mixed(words, at(1.0), everywhere(words))[0].argmax()) == DOG


def test_a_mask_without_a_meaningful_vector_keeps_what_it_has() -> None:
    memory = Memory(at(0.0), torch.tensor([DOG]))
    words = by_words([0.5, 0.2, 0.1, 0.2])
    nothing = torch.full((1, 2), math.nan)
    assert torch.equal(memory.mixed(words, nothing, torch.tensor([False])), words)


def test_a_memory_whose_segments_tell_their_classes_speaks_up_and_a_confused_one_is_quiet() -> None:
    images = torch.arange(120)
    clear = Memory(at(*[0.0, 90.0] * 60), torch.tensor([CAT, DOG] * 60))
    words = torch.full((120, 3), 1 / 3)
    assert clear.tuned(images, words).recall.weight > 2 * min(WEIGHTS)
    torch.manual_seed(0)
    confused = Memory(at(*[0.0] * 120), torch.randint(0, 2, (120,)))
    right = torch.nn.functional.one_hot(confused.classes, 3) * 0.9 + 0.03
    assert confused.tuned(images, right).recall.weight == min(WEIGHTS)


def test_segments_of_one_image_do_not_vouch_for_each_other() -> None:
    memory = Memory(at(*[0.0] * 120), torch.tensor([CAT] * 120))
    right = torch.tensor([1.0, 0.0, 0.0]).expand(120, 3)
    one_image = torch.zeros(120, dtype=torch.int64)
    assert memory.tuned(one_image, right) == memory
    assert memory.tuned(torch.arange(120), right) != memory
