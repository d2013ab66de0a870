"""Between what a model knew and what it learnt: the mean of two sets of weights.

Fine-tuned weights lie in the same basin as those they started from, and means of both do, too: they
keep much of what is new and forget little (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.loop.state import trained_weights


def copy_of_trained_weights(model: FrozenSeg) -> dict[str, Tensor]:
    """Return the weights that training changes, as they are now."""
    return {name: value.detach().clone() for name, value in trained_weights(model).items()}


@contextmanager
def blended(model: FrozenSeg, start: Mapping[str, Tensor], share: float) -> Iterator[None]:
    """Let the model have a mean of its weights and the starting ones while the block lasts.

    Args:
        start: of `copy_of_trained_weights`.
        share: of the starting weights, 0 (the model stays as it is) to 1.
    """
    if share == 0:
        yield
        return
    learnt = copy_of_trained_weights(model)
    _fill(model, {name: torch.lerp(value, start[name], share) for name, value in learnt.items()})
    try:
        yield
    finally:
        _fill(model, learnt)


@torch.no_grad()
def _fill(model: FrozenSeg, weights: Mapping[str, Tensor]) -> None:
    for name, value in trained_weights(model).items():
        value.copy_(weights[name])
