"""From which probability on segments may be accepted unseen, so that a precision is promised.

A threshold passes if, were the true precision only the target, so few wrong segments among those
above it would be seen with 5 % probability at the most: that is, if the one-sided bound of Clopper
and Pearson (1934) reaches the target. Thresholds are tested in a fixed sequence, each at the full
level, from a strict one to more permissive ones until the first that fails; so the one that is
taken breaks its promise with 5 % probability at the most, however many were tested (fixed-sequence
testing; "Learn then Test", Angelopoulos et al., arXiv 2110.01052, section 4). Where the sequence
begins, the probabilities say and not the outcomes: where they promise the best chance to pass.

The guarantee is for segments like the judged ones, and for probabilities that were not fitted on
them. Two things make it approximate: a final fit on all judged segments gives the probabilities of
the others, cross-fitted ones those of the test; and segments of one image are not independent.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
STEP = 1.1  # each threshold of the sequence has so many times the segments of the one before


@dataclass(frozen=True)
class Threshold:
    """A probability, and what was seen of the judged segments that have at least this one.

    Attributes:
        probability: 0..1.
        number: of these segments.
        right: how many of them are right.
        bound: of their precision, with 95 % confidence.
    """

    probability: float
    number: int
    right: int
    bound: float


@dataclass(frozen=True)
class Search:
    """What the test of thresholds found.

    Attributes:
        passed: the most permissive threshold of the sequence that passed; None: none did.
        best: the threshold with the highest bound of all that have enough segments to pass.
        missing: so many right segments more, at the least, would let a threshold pass; 0: one did.
    """

    passed: Threshold | None
    best: Threshold | None
    missing: int


def lower_bound(right: int, number: int) -> float:
    """Return the precision that holds with 95 % confidence where `right` of `number` are right."""
    return _bounds(np.array([right]), np.array([number]))[0]


def least_segments(target: float, wrong: int = 0) -> int:
    """Return how many segments are needed where some are wrong, so that the target is promised."""
    enough = math.ceil(math.log(1 - CONFIDENCE) / math.log(target)) + wrong
    least = enough
    while lower_bound(enough - wrong, enough) < target:
        enough *= 2
    sizes = range(least, enough + 1)
    return sizes[bisect_left(sizes, target, key=lambda size: lower_bound(size - wrong, size))]


def search_threshold(
    probabilities: NDArray[np.float64], right: NDArray[np.bool_], target: float
) -> Search:
    """Return from which probability on a precision is promised, as tested on N judged segments.

    Args:
        probabilities: [N], each from a fit without the segment's image.
        right: [N].
        target: the precision, more than 0 and less than 1.
    """
    order = np.argsort(-probabilities, kind="stable")
    ordered = probabilities[order]  # [N]
    kept = right[order].cumsum(dtype=np.int64)  # [N]
    sizes = np.array(list(_sizes(ordered, least_segments(target))), dtype=np.int64)  # [T]
    if not len(sizes):
        return Search(None, None, least_segments(target) - int(right.sum()))
    tested = [
        Threshold(float(ordered[size - 1]), size, int(kept[size - 1]), bound)
        for size, bound in zip(sizes.tolist(), _bounds(kept[sizes - 1], sizes), strict=True)
    ]
    start = int(np.argmax(_chances(ordered, sizes, target)))
    passed = None
    for threshold in tested[start:]:
        if threshold.bound < target:
            break
        passed = threshold
    if passed is not None:
        return Search(passed, passed, 0)
    best = max(tested, key=lambda threshold: threshold.bound)
    missing = least_segments(target, best.number - best.right) - best.number
    return Search(None, best, max(missing, 1))


def _sizes(ordered: NDArray[np.float64], least: int) -> Iterator[int]:
    """Yield how many segments are above each threshold, from the strictest on."""
    size = least
    while size <= len(ordered):
        whole = int(np.searchsorted(-ordered, -ordered[size - 1], side="right"))  # equal ones
        yield whole
        size = max(math.ceil(whole * STEP), whole + 1)


def _bounds(right: NDArray[np.int64], numbers: NDArray[np.int64]) -> list[float]:
    from scipy.stats import beta

    lowest = beta.ppf(1 - CONFIDENCE, np.maximum(right, 1), numbers - right + 1)
    bounds: list[float] = np.asarray(lowest).tolist()
    return [bound if some else 0.0 for bound, some in zip(bounds, right.tolist(), strict=True)]


def _chances(
    ordered: NDArray[np.float64], sizes: NDArray[np.int64], target: float
) -> NDArray[np.float64]:
    """Return how probable it is that each threshold passes, as the probabilities above it say."""
    from scipy.stats import binom

    allowed = np.asarray(binom.ppf(1 - CONFIDENCE, sizes, 1 - target), dtype=np.float64)
    allowed -= binom.cdf(allowed, sizes, 1 - target) > 1 - CONFIDENCE
    wrong = 1 - np.cumsum(ordered)[sizes - 1] / sizes  # mean of the probabilities that it is wrong
    chances = binom.cdf(allowed, sizes, np.clip(wrong, 0, 1))
    return np.asarray(chances, dtype=np.float64)
