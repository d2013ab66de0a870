"""How probable it is that a segment is right."""

from dataclasses import replace

import numpy as np
import pytest

from frozenseg_label.evaluation.calibration import (
    FOLDS,
    Bin,
    Judged,
    JudgedSegments,
    calibration_error,
    cross_fitted,
    fit,
    own_classes,
    reliability,
    score_floor,
    signals_of,
)
from frozenseg_label.panoptic import Segment

CAT, DOG, RARE = 1, 2, 3


def judged(number: int, seed: int = 0) -> JudgedSegments:
    """Return segments of images of five, whose scores promise more than comes out; dogs are worse.

    Every hundredth is of a rare class.
    """
    random = np.random.default_rng(seed)
    rows = []
    for place in range(number):
        category = RARE if place % 100 == 99 else (CAT, DOG)[place % 2]
        score = float(random.uniform(0.05, 0.95))
        chance = score**2 * (0.4 if category == DOG else 1.0)
        segment = Segment(1, category, is_thing=True, area=100, score=score, margin=score / 2)
        signals = signals_of(segment, 1000)
        rows.append(Judged(place // 5, category, score, signals, bool(random.random() < chance)))
    return JudgedSegments.of(rows)


def test_probabilities_say_what_comes_out_on_other_segments() -> None:
    seen, other = judged(1500), judged(3000, seed=1)
    fitted = fit(seen, own_classes(seen))
    said = fitted.probabilities(other.signals, other.categories.tolist())
    before = calibration_error(reliability(other.scores, other.right))
    after = calibration_error(reliability(said, other.right))
    assert before > 0.2
    assert after < 0.04
    for category in (CAT, DOG):
        inside = other.categories == category
        assert said[inside].mean() == pytest.approx(other.right[inside].mean(), abs=0.04)


def test_classes_with_few_examples_share() -> None:
    seen = judged(1000)
    own = own_classes(seen)
    assert own == [CAT, DOG]
    fitted = fit(seen, own)
    signals = seen.signals[:1]
    rare, unknown = fitted.probabilities(signals, [RARE]), fitted.probabilities(signals, [99])
    assert rare == unknown
    assert fitted.probabilities(signals, [CAT]) > rare > fitted.probabilities(signals, [DOG])


def test_a_segment_has_no_part_in_its_own_cross_fitted_probability() -> None:
    seen = judged(200)
    own = own_classes(seen)
    of_first = seen.images == 0
    turned = replace(seen, right=np.where(of_first, ~seen.right, seen.right))
    assert cross_fitted(seen, own)[of_first] == pytest.approx(cross_fitted(turned, own)[of_first])
    assert len(np.unique(seen.images)) >= FOLDS


def test_where_all_are_right_the_probability_is_high_and_not_one() -> None:
    seen = judged(60)
    all_right = replace(seen, right=np.ones(60, dtype=bool))
    said = cross_fitted(all_right, own_classes(seen))
    assert ((said > 0.97) & (said < 1)).all()


def test_the_calibration_error_is_the_mean_distance() -> None:
    said = np.array([0.05, 0.05, 0.95, 0.95])
    bins = reliability(said, np.array([False, True, True, True]))
    assert bins == [Bin(2, pytest.approx(0.05), 0.5), Bin(2, pytest.approx(0.95), 1.0)]
    assert calibration_error(bins) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)


def test_a_floor_is_the_lowest_score_that_reaches_the_precision() -> None:
    seen = judged(10)
    scores = np.linspace(0.1, 1.0, 10)
    ordered = replace(seen, scores=scores, right=scores > 0.35)
    assert score_floor(ordered, 0.99) == pytest.approx(0.4)
    assert score_floor(ordered, 0.8) == pytest.approx(0.3)
    assert score_floor(replace(ordered, right=scores > 2), 0.5) is None
