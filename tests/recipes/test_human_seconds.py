"""The simulated reviewer: what is done with each segment, what it costs, and what is left."""

import numpy as np
import pytest

from frozenseg_label.panoptic import PanopticMap, Segment
from recipes.nano.studying.human_seconds_picture import hours_to, spread
from recipes.nano.studying.reviewer import Costs, Eye, Reviewed, review

CAT, DOG, GRASS = 1, 2, 3


def map_of(*parts: tuple[int, int, int, bool]) -> PanopticMap:
    """Return a map of 1 x 100 pixels; a segment is (category, from, to, is accepted)."""
    ids = np.zeros((1, 100), np.int32)
    segments = []
    for number, (category, start, end, accepted) in enumerate(parts, start=1):
        ids[:, start:end] = number
        segments.append(
            Segment(
                number,
                category,
                category != GRASS,
                score=0.9,
                state="accepted" if accepted else "proposed",
                accepted_by="calibrate 0.95" if accepted else None,
            )
        )
    return PanopticMap.of(ids, segments)


TRUTH = map_of(
    (CAT, 0, 20, False),
    (DOG, 20, 40, False),
    (CAT, 40, 60, False),
    (GRASS, 60, 75, False),
    (DOG, 75, 85, False),
)


def reviewed(*parts: tuple[int, int, int, bool]) -> Reviewed:
    return review(map_of(*parts), TRUTH, Eye())


def test_the_costs_of_a_scene_add_up() -> None:
    done = reviewed(
        (CAT, 0, 20, False),  # right
        (CAT, 20, 39, False),  # another class
        (CAT, 40, 50, False),  # half of it
        (GRASS, 50, 52, False),  # nothing
        (DOG, 60, 70, False),  # a bad mask and another class
    )
    expected = {"look": 1, "accept": 1, "relabel": 2, "reject": 1, "redraw": 2, "draw": 1}
    assert done.actions == expected
    assert Costs().of(done.actions) == 3 + 1 + 2 * 4 + 1.5 + 2 * 25 + 30
    assert Costs(draw=79).of({"draw": 2, "look": 1}) == 2 * 79 + 3


def test_finished_labels_have_every_true_segment_once() -> None:
    done = reviewed((CAT, 0, 20, False), (CAT, 20, 37, False), (CAT, 40, 50, False))
    left = {(s.category_id, s.bbox[0], s.bbox[0] + s.bbox[2]) for s in done.labels.segments}
    # The dog's mask is good enough, so it stays as it was proposed, with its class.
    assert left == {(CAT, 0, 20), (DOG, 20, 37), (CAT, 40, 60), (GRASS, 60, 75), (DOG, 75, 85)}
    assert done.named == {1: 0, 2: 1}
    assert done.drawn == (2, 3, 4)


def test_drawing_all_by_hand_gives_the_truth() -> None:
    done = reviewed()
    assert done.actions == {"look": 1, "draw": 5}
    assert np.array_equal(done.labels.ids, TRUTH.ids)


def test_what_a_machine_accepted_costs_nothing_and_stays_even_if_it_is_wrong() -> None:
    done = reviewed((DOG, 0, 20, True), (DOG, 20, 40, False))
    assert done.actions == {"look": 1, "accept": 1, "draw": 3}
    assert next(s for s in done.labels.segments if s.bbox[0] == 0).category_id == DOG


@pytest.mark.parametrize(("wanted", "hours"), [(50.0, 1.0), (80.0, 2.0), (95.0, None)])
def test_the_time_to_a_quality_is_the_first_that_reaches_it(
    wanted: float, hours: float | None
) -> None:
    assert hours_to([(0.0, 40.0), (1.0, 60.0), (2.0, 90.0)], wanted) == hours


def test_several_sets_have_a_spread_and_one_has_none() -> None:
    assert spread([2.0, 3.0, 4.0], 1) == "3.0 ± 1.0"
    assert spread([2.0], 2) == "2.00"
