"""The rules that make void less probable where CLIP is sure of a class that no training saw."""

import pytest
import torch

from recipes.nano.studying.objectness import AS_IT_IS, RULES

VOID = torch.tensor([0.1, 0.5, 0.9])


@pytest.mark.parametrize("rule", [name for name in RULES if not name.startswith("all masks")])
def test_void_stays_where_no_unseen_class_is_likely(rule: str) -> None:
    assert torch.allclose(RULES[rule](VOID, torch.zeros(3)), VOID)


@pytest.mark.parametrize("rule", [name for name in RULES if name != AS_IT_IS])
def test_void_is_less_probable_where_an_unseen_class_is_certain(rule: str) -> None:
    less = RULES[rule](VOID, torch.ones(3))
    assert (less < VOID).all()
    assert (less >= 0).all()


def test_the_control_does_not_ask_how_sure_the_opinion_is() -> None:
    rule = RULES["all masks: logit - 1"]
    assert torch.equal(rule(VOID, torch.zeros(3)), rule(VOID, torch.ones(3)))
