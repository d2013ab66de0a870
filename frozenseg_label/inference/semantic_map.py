"""From classified masks to one category per pixel: every mask votes for every category."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.mask_tiles import (
    Size,
    TiledResize,
    masks_resize,
    row_tiles,
    single_image,
)
from frozenseg_label.model.proposals import ClassifiedMasks

MOST_CATEGORIES = 65535  # in uint16, with one value to spare: files count from 1


@dataclass(frozen=True)
class Votes:
    """What some masks of one image say for each category.

    Attributes:
        mask_logits: [N, h, w].
        weights: [K, N]; a pixel's score for a category is the sum of weight x mask probability.
        with_padding: the masks cover the padded image, as the model's do; False: the image alone.
    """

    mask_logits: Tensor
    weights: Tensor
    with_padding: bool = True


def query_votes(masks: ClassifiedMasks) -> Votes:
    """Return the votes of all queries: class probabilities, void left out and not renormalised."""
    masks = single_image(masks)
    return Votes(masks.mask_logits, masks.class_probs[:, :-1].T.float())


def semantic_map(
    votes: Sequence[Votes],
    padded_size: Size,
    image_size: Size,
    output_size: Size,
    *,
    resize_first: bool = True,
) -> NDArray[np.uint16]:
    """Return the index of the best category of each pixel, uint16 [H, W].

    ValueError where there are more categories than uint16 can tell apart.

    Args:
        votes: of the queries, and of SAM's masks where `combine_semantic` gave them.
        padded_size: height and width of the model's input with padding.
        image_size: the same without padding.
        output_size: height and width of the map.
        resize_first: mask logits are brought to the output size before they become probabilities;
            False: class scores are (published where semantic output alone is asked for).
    """
    if len(votes[0].weights) > MOST_CATEGORIES:
        raise ValueError(f"{len(votes[0].weights)} categories, at most {MOST_CATEGORIES} are told")
    best = np.empty(output_size, np.uint16)
    tiles = semantic_tiles(votes, padded_size, image_size, output_size, resize_first=resize_first)
    for start, scores in tiles:
        # Twice as fast on CPUs as argmax.
        winner = scores.max(dim=0).indices  # [T, W]
        best[start : start + len(winner)] = winner.cpu().numpy()
    return best


def semantic_tiles(
    votes: Sequence[Votes],
    padded_size: Size,
    image_size: Size,
    output_size: Size,
    *,
    resize_first: bool = True,
) -> Iterator[tuple[int, Tensor]]:
    """Yield the scores of all categories a few rows at a time: first row, [K, T, W].

    All of them at once would be K x H x W. Arguments as in `semantic_map`.
    """
    scored_size = output_size if resize_first else image_size
    resizes = [_votes_resize(vote, padded_size, image_size, scored_size) for vote in votes]
    last = TiledResize(scored_size, [(output_size, output_size)])  # nothing left where resize_first
    most = max(len(votes[0].weights), sum(len(vote.mask_logits) for vote in votes))
    for start, stop in row_tiles(output_size[0], most * max(scored_size[1], output_size[1])):
        rows = last.needed(start, stop)
        scores = _count_votes(votes, resizes, rows)  # [K, rows, w]
        yield start, scores if resize_first else last.rows(scores, start, stop)


def _votes_resize(votes: Votes, padded_size: Size, image_size: Size, to: Size) -> TiledResize:
    """Return the way of some votes' masks to the size at which they are counted."""
    if votes.with_padding:
        return masks_resize(votes.mask_logits, padded_size, image_size, to)
    return masks_resize(votes.mask_logits, to, to, to)


def _count_votes(votes: Sequence[Votes], resizes: Sequence[TiledResize], rows: slice) -> Tensor:
    """Return the scores of some rows, [K, rows, w]."""
    probs = torch.cat(
        [
            resize.rows(
                vote.mask_logits[:, resize.needed(rows.start, rows.stop)], rows.start, rows.stop
            )
            for vote, resize in zip(votes, resizes, strict=True)
        ]
    ).sigmoid_()  # [N of all, rows, w]
    weights = torch.cat([vote.weights for vote in votes], dim=1)  # [K, N of all]
    with torch.autocast(probs.device.type, enabled=False):
        return (weights @ probs.flatten(1)).view(len(weights), *probs.shape[1:])
