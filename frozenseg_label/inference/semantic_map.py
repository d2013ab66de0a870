"""From classified masks to one category per pixel: every mask votes for every category."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.mask_tiles import (
    TiledResize,
    masks_resize,
    row_tiles,
    single_image,
)
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.proposals import ClassifiedMasks

MOST_CATEGORIES = 65535  # in uint16, with one value to spare: files count from 1


@dataclass(frozen=True)
class Votes:
    """The votes of some masks of one image for each category.

    Attributes:
        mask_logits: [N, h, w] over the padded image.
        weights: [K, N]; a pixel's score for a category is the sum of weight x mask probability.
    """

    mask_logits: Tensor
    weights: Tensor


def query_votes(masks: ClassifiedMasks) -> Votes:
    """Return the votes of all queries: class probabilities, void left out and not renormalised."""
    masks = single_image(masks)
    return Votes(masks.mask_logits, masks.class_probs[:, :-1].T.float())


def semantic_map(votes: Sequence[Votes], framing: Framing) -> NDArray[np.uint16]:
    """Return the index of the best category of each pixel, uint16 [H, W].

    ValueError where there are more categories than uint16 can tell apart.

    Args:
        votes: of the queries, and of SAM's masks where `combine_semantic` gave them.
        framing: of the image that all of them are of.
    """
    if len(votes[0].weights) > MOST_CATEGORIES:
        raise ValueError(
            f"{len(votes[0].weights)} categories, at most {MOST_CATEGORIES} are possible"
        )
    best = np.empty(framing.original, np.uint16)
    for start, scores in semantic_tiles(votes, framing):
        # Faster on CPUs than argmax.
        winner = scores.max(dim=0).indices  # [T, W]
        best[start : start + len(winner)] = winner.cpu().numpy()
    return best


def semantic_tiles(votes: Sequence[Votes], framing: Framing) -> Iterator[tuple[int, Tensor]]:
    """Yield the scores of all categories a few rows at a time: first row, [K, T, W].

    All of them at once would be K x H x W. Mask logits are brought to the original size before they
    become probabilities. Arguments as in `semantic_map`.
    """
    resizes = [masks_resize(vote.mask_logits, framing) for vote in votes]
    most = max(len(votes[0].weights), sum(len(vote.mask_logits) for vote in votes))
    height, width = framing.original
    for start, stop in row_tiles(height, most * width):
        yield start, _count_votes(votes, resizes, start, stop)


def _count_votes(
    votes: Sequence[Votes], resizes: Sequence[TiledResize], start: int, stop: int
) -> Tensor:
    """Return the scores of rows start..stop, [K, T, W], of which those of a pixel lie together."""
    width = resizes[0].output_size[1]
    parts = [
        _scores_of(vote, resize, start, stop) for vote, resize in zip(votes, resizes, strict=True)
    ]
    return reduce(torch.add, parts).T.view(-1, stop - start, width)


def _scores_of(vote: Votes, resize: TiledResize, start: int, stop: int) -> Tensor:
    """Return what some masks add to the scores, [T W, K]."""
    logits = resize.rows(vote.mask_logits[:, resize.needed(start, stop)], start, stop)
    with torch.autocast(logits.device.type, enabled=False):
        return logits.sigmoid_().flatten(1).T @ vote.weights.T
