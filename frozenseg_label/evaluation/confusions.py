"""Which classes are confused with each other, by pixels and by segments."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.evaluation.segment_overlap import PAIRED_ABOVE, SegmentOverlap


@dataclass(frozen=True)
class Confusion:
    """A predicted class, the true class, and how often: a number of pixels or of segments."""

    predicted: str
    truth: str
    number: int


def confused_segments(overlap: SegmentOverlap) -> list[tuple[int, int]]:
    """Return the pairs of segments with one mask (IoU above one half) but two classes.

    A pair is the place of the predicted and of the true segment; a mask is in at most one pair.
    """
    rows, columns = np.nonzero(overlap.iou > PAIRED_ABOVE)
    return [
        (p, t)
        for p, t in zip(rows.tolist(), columns.tolist(), strict=True)
        if overlap.predicted[p].category_id != overlap.truth[t].category_id
        and not overlap.truth[t].is_crowd
    ]


def class_pairs(overlap: SegmentOverlap) -> list[tuple[int, int]]:
    """Return the predicted and the true category id of each pair of `confused_segments`."""
    return [
        (overlap.predicted[p].category_id, overlap.truth[t].category_id)
        for p, t in confused_segments(overlap)
    ]


def most_frequent_pixels(
    confusion: NDArray[np.int64], names: tuple[str, ...], count: int
) -> list[Confusion]:
    """Return the pairs of different classes with the most pixels.

    Args:
        confusion: [1 + K, 1 + K], pixels by predicted (row) and true class; 0 = unlabelled. Pixels
            that one side leaves unlabelled are no confusion.
        names: of the K classes.
    """
    off = confusion[1:, 1:].copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:count]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [Confusion(names[p], names[t], int(off[p, t])) for p, t in pairs if off[p, t]]


def most_frequent_segments(
    pairs: Counter[tuple[int, int]], names: Mapping[int, str], count: int
) -> list[Confusion]:
    """Return the most frequent pairs of category ids, with the classes' names."""
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:count]
    return [Confusion(names[p], names[t], n) for (p, t), n in ordered]
