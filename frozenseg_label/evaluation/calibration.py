"""How probable it is that a proposed segment is right, learnt from segments that people judged.

Right is a segment whose class a person left, with an IoU above one half. A logistic regression
tells it from the signals of the model; classes with enough examples have a term of their own, which
ridge regularisation draws to the common one, and the others share. Probabilities of judged segments
are cross-fitted: each comes from a fit on other images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.panoptic import Segment

FOLDS = 5
LEAST_SEGMENTS, LEAST_IMAGES = 50, 10  # judged ones, below which nothing is learnt
OWN_TERM_FROM = 20  # examples from which a class has a term of its own
LEAST_ABOVE = 5  # examples above a score, from which a precision above it is believed
BINS = 10  # of equal width, as of the expected calibration error (Guo et al., arXiv 1706.04599)

_SMALLEST = 1e-4  # of a probability or a share whose logarithm is taken

Values = NDArray[np.float64]


class Judged(NamedTuple):
    """A proposed segment that a person judged.

    Attributes:
        image: number of its image.
        category_id: of the model's class.
        score: of the model, 0..1.
        signals: of the model, [F], as `signals_of` has them.
        right: whether the person left it.
    """

    image: int
    category_id: int
    score: float
    signals: tuple[float, ...]
    right: bool


@dataclass(frozen=True)
class JudgedSegments:
    """N judged segments, column by column; as in `Judged`."""

    images: NDArray[np.int64]
    categories: NDArray[np.int64]
    scores: Values
    signals: Values  # [N, F]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[Judged]) -> "JudgedSegments":
        """Return the rows as columns; ValueError where there are none."""
        columns = list(zip(*rows, strict=True))
        if not columns:
            raise ValueError("no judged segments")
        images, categories, scores, signals, right = map(np.array, columns)
        return cls(images, categories, scores, signals, right)

    def __len__(self) -> int:
        return len(self.right)

    def of_places(self, places: NDArray[np.bool_]) -> "JudgedSegments":
        """Return some of the segments, True in [N]."""
        return JudgedSegments(
            self.images[places],
            self.categories[places],
            self.scores[places],
            self.signals[places],
            self.right[places],
        )


@dataclass(frozen=True)
class Calibrator:
    """The probability that a segment is right: a logistic function of its signals and class.

    Attributes:
        means, scales: of the signals [F], by which they are brought to one scale.
        weights: of the signals [F].
        of_class: what is added for a class that has a term of its own, by category id.
        bias: what is added for all.
    """

    means: Values
    scales: Values
    weights: Values
    of_class: Mapping[int, float]
    bias: float

    def probabilities(
        self, signals: Values | Sequence[Sequence[float]], categories: Sequence[int]
    ) -> Values:
        """Return the probabilities [N] of segments with signals [N, F] and category ids [N]."""
        scaled = (np.asarray(signals) - self.means) / self.scales  # [N, F]
        own = np.array([self.of_class.get(category_id, 0.0) for category_id in categories])
        result: Values = 1 / (1 + np.exp(-(scaled @ self.weights + own + self.bias)))
        return result


class Bin(NamedTuple):
    """Segments of about one probability.

    Attributes:
        number: of the segments.
        said: mean of their probabilities.
        right: share of them that is right.
    """

    number: int
    said: float
    right: float


def signals_of(segment: Segment, pixels: int) -> tuple[float, ...]:
    """Return what the model's signals say of a segment, [F]; what is not known is 0.

    Args:
        segment: with a score.
        pixels: of the whole image.
    """
    score = min(max(segment.score or 0.0, _SMALLEST), 1 - _SMALLEST)
    return (
        float(np.log(score / (1 - score))),
        segment.margin if segment.margin is not None else score,  # with one class only
        segment.disagreement or 0.0,
        segment.contested or 0.0,
        segment.sam_disagreement or 0.0,
        float(np.log(max(segment.area / pixels, _SMALLEST))),
        float(segment.is_thing),
    )


def own_classes(judged: JudgedSegments) -> list[int]:
    """Return ids of the classes with enough examples for a term of their own."""
    ids, counts = np.unique(judged.categories, return_counts=True)
    own: list[int] = ids[counts >= OWN_TERM_FROM].tolist()
    return own


def fit(judged: JudgedSegments, own: Sequence[int]) -> Calibrator:
    """Return the probabilities that fit judged segments best.

    Args:
        own: ids of the classes with a term of their own.
    """
    from sklearn.linear_model import LogisticRegression

    means, scales = judged.signals.mean(axis=0), judged.signals.std(axis=0)  # [F], [F]
    scales[scales == 0] = 1.0
    width, right = len(means), int(judged.right.sum())
    if right in (0, len(judged)):  # nothing to tell apart: Laplace's rule of succession
        bias = float(np.log((right + 1) / (len(judged) - right + 1)))
        return Calibrator(means, scales, np.zeros(width), {}, bias)
    scaled = (judged.signals - means) / scales
    is_own = judged.categories[:, None] == np.array(own, dtype=np.int64)[None]  # [N, own]
    model = LogisticRegression(max_iter=1000)
    model.fit(np.hstack([scaled, is_own]), judged.right)
    weights = model.coef_[0]
    of_class = dict(zip(own, weights[width:].tolist(), strict=True))
    return Calibrator(means, scales, weights[:width], of_class, float(model.intercept_[0]))


def cross_fitted(judged: JudgedSegments, own: Sequence[int]) -> Values:
    """Return the probabilities [N] of judged segments, each from a fit on other images."""
    from sklearn.model_selection import GroupKFold

    found = np.zeros(len(judged))
    folds = GroupKFold(FOLDS).split(judged.signals, groups=judged.images)
    for _, held_out in folds:
        outside = np.ones(len(judged), dtype=np.bool_)
        outside[held_out] = False
        some = judged.of_places(~outside)
        fitted = fit(judged.of_places(outside), own)
        found[~outside] = fitted.probabilities(some.signals, some.categories.tolist())
    return found


def reliability(said: Values, right: NDArray[np.bool_]) -> list[Bin]:
    """Return bins of equal width of probabilities [N], from low to high; empty ones left out."""
    places = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    return [
        Bin(int(inside.sum()), float(said[inside].mean()), float(right[inside].mean()))
        for inside in (places == number for number in range(BINS))
        if inside.any()
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: how far probabilities are from what came out, 0..1."""
    total = sum(one.number for one in bins)
    return sum(one.number * abs(one.said - one.right) for one in bins) / total


def score_floor(judged: JudgedSegments, precision: float) -> float | None:
    """Return the lowest score from which on this share of the segments is right; None: none is.

    An estimate, not a promise: it is of the very segments that it was chosen by.
    """
    order = np.argsort(-judged.scores, kind="stable")
    scores, right = judged.scores[order], judged.right[order]
    reached = np.cumsum(right) / np.arange(1, len(right) + 1) >= precision
    reached &= np.append(scores[1:] < scores[:-1], True)  # equal scores are above it together
    reached[: LEAST_ABOVE - 1] = False
    places = np.flatnonzero(reached)
    return float(scores[places[-1]]) if len(places) else None
