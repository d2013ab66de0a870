"""Which precision is promised, and from which probability on."""

import numpy as np
import pytest

from frozenseg_label.evaluation.precision_bound import (
    least_segments,
    lower_bound,
    search_threshold,
)


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    # Of n right ones in n, the bound is the n-th root of 0.05.
    assert lower_bound(149, 149) == pytest.approx(0.05 ** (1 / 149))
    # Textbook: 18 of 20, one-sided 95 %, is 0.7174.
    assert lower_bound(18, 20) == pytest.approx(0.7174, abs=1e-4)
    assert lower_bound(0, 20) == 0


@pytest.mark.parametrize(("target", "least"), [(0.9, 29), (0.95, 59), (0.98, 149)])
def test_so_many_right_segments_are_needed_at_the_least(target: float, least: int) -> None:
    assert least_segments(target) == least
    assert lower_bound(least, least) >= target > lower_bound(least - 1, least - 1)
    more = least_segments(target, wrong=3)
    assert lower_bound(more - 3, more) >= target > lower_bound(more - 4, more - 1)


def judged(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that are true, and outcomes."""
    random = np.random.default_rng(seed)
    probabilities = random.beta(3, 0.5, number)
    return probabilities, random.random(number) < probabilities


def test_the_promise_is_broken_in_one_of_twenty_cases_at_the_most() -> None:
    # The true precision above a threshold is the mean of the true probabilities there.
    population, _ = judged(200_000, seed=0)
    broken = passed = 0
    for seed in range(1, 201):
        found = search_threshold(*judged(600, seed), 0.95).passed
        if found is not None:
            passed += 1
            broken += population[population >= found.probability].mean() < 0.95
    assert passed > 100
    assert broken <= 0.05 * 200 + 3 * (0.05 * 0.95 * 200) ** 0.5


def test_more_permissive_thresholds_are_taken_as_long_as_they_pass() -> None:
    probabilities = np.linspace(0, 1, 1001)
    right = probabilities > 0.4
    found = search_threshold(probabilities, right, 0.9).passed
    assert found is not None
    assert found.bound >= 0.9
    assert 0.3 < found.probability < 0.4


def test_where_too_few_segments_were_judged_it_says_how_many_are_missing() -> None:
    found = search_threshold(np.full(100, 0.99), np.ones(100, dtype=bool), 0.98)
    assert (found.passed, found.best, found.missing) == (None, None, 49)


def test_where_too_many_are_wrong_nothing_passes() -> None:
    right = np.arange(300) % 10 > 0
    found = search_threshold(np.full(300, 0.9), right, 0.98)
    assert found.passed is None
    assert found.best is not None
    assert (found.best.number, found.best.right) == (300, 270)
    assert lower_bound(270 + found.missing, 300 + found.missing) >= 0.98
    assert lower_bound(269 + found.missing, 299 + found.missing) < 0.98
