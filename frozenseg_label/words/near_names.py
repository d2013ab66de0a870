"""Pairs of classes with two names that a text encoder hardly tells apart."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.vocabulary import Category, Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PAIRS = 100  # that are told, the nearest first
ROWS = 256  # names that are compared with all others at once


@dataclass(frozen=True)
class NearPair:
    """Two classes and the two names of theirs that are nearest to each other.

    Attributes:
        first, second: in the order of the vocabulary.
        first_name, second_name: one of the names of each.
        cosine: of the vectors of these names, 0..1.
    """

    first: Category
    second: Category
    first_name: str
    second_name: str
    cosine: float


def near_pairs(words: Vocabulary, weights: Path, compared: Sequence[bool]) -> list[NearPair]:
    """Return the pairs of classes that are too near, the nearest first.

    Too near is where a region that fits one name perfectly has the other with at least half of its
    probability, at the temperature of CLIP's own softmax.

    Args:
        words: with S names.
        weights: a checkpoint; its text encoder is asked.
        compared: for each of the S names, whether it counts.
    """
    import numpy as np

    from frozenseg_label.checkpoints.text_embeddings import name_vectors

    vectors, scale = name_vectors(words, weights)  # [S, D]
    places = np.flatnonzero(compared)
    owners = np.repeat(np.arange(len(words)), words.names_per_category)[places]
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    for cosine, one, other in _near(vectors[places], 1 - math.log(2) / scale):
        pair = int(owners[one]), int(owners[other])
        if pair[0] != pair[1]:
            best[pair] = max(best.get(pair, (0.0, 0, 0)), (cosine, one, other))
    ranked = sorted(best.items(), key=lambda item: -item[1][0])
    names = words.all_names()
    return [
        NearPair(
            words.categories[first],
            words.categories[second],
            names[places[one]],
            names[places[other]],
            cosine,
        )
        for (first, second), (cosine, one, other) in ranked[:MOST_PAIRS]
    ]


def _near(vectors: "NDArray[np.float32]", least: float) -> Iterator[tuple[float, int, int]]:
    """Yield cosine and places of the pairs of unit vectors [S, D] with a cosine above `least`."""
    import numpy as np

    for start in range(0, len(vectors), ROWS):
        cosines = vectors[start : start + ROWS] @ vectors.T  # [R, S]
        for row, column in zip(*np.nonzero(cosines > least), strict=True):
            if start + row < column:
                yield float(cosines[row, column]), start + int(row), int(column)
