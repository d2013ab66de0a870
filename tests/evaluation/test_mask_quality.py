"""Average precision of the masks of things, and recall of masks whatever they are called."""

from collections.abc import Callable

import pytest

from frozenseg_label.evaluation.mask_quality import (
    InstanceTally,
    Precision,
    RecallTally,
    mean_precision,
)
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.panoptic import PanopticMap

MakeMap = Callable[..., PanopticMap]
CAT, DOG, SKY = 1, 2, 3


def tally_of(*pairs: tuple[PanopticMap, PanopticMap]) -> InstanceTally:
    tally = InstanceTally([CAT, DOG])
    for predicted, truth in pairs:
        tally.add(overlap_of(predicted, truth))
    return tally


def test_a_perfect_mask_has_a_precision_of_one_and_stuff_has_none(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY})
    predicted = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY}, scores={1: 0.3, 2: 0.9})
    assert tally_of((predicted, truth)).categories() == {CAT: pytest.approx(Precision(1, 1, 1))}


def test_a_mask_of_iou_one_half_counts_at_that_threshold_alone(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY})
    predicted = make_map([[1, 0, 0, 0]], {1: CAT}, scores={1: 0.3})
    assert tally_of((predicted, truth)).categories()[CAT] == pytest.approx(Precision(0.1, 1, 0))


def test_a_wrong_mask_costs_more_when_the_model_was_surer_of_it(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY})

    def ap50(right: float, wrong: float) -> float:
        predicted = make_map([[1, 1, 2, 2]], {1: CAT, 2: CAT}, scores={1: right, 2: wrong})
        return tally_of((predicted, truth)).categories()[CAT].ap50

    assert ap50(0.9, 0.1) == pytest.approx(1.0)
    assert ap50(0.1, 0.9) == pytest.approx(0.5)


def test_what_lies_on_void_is_cut_off_and_what_lies_mostly_there_left_out(
    make_map: MakeMap,
) -> None:
    truth = make_map([[1, 1, 0, 0, 0]], {1: CAT})
    reaching = make_map([[1, 1, 1, 0, 0]], {1: CAT}, scores={1: 0.5})
    assert tally_of((reaching, truth)).categories()[CAT].ap == pytest.approx(1.0)
    beside = make_map([[1, 1, 2, 2, 2]], {1: CAT, 2: CAT}, scores={1: 0.5, 2: 0.9})
    assert tally_of((beside, truth)).categories()[CAT].ap == pytest.approx(1.0)


def test_a_crowd_takes_any_number_of_masks(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 2, 2]], {1: CAT, 2: CAT}, crowds=(2,))
    predicted = make_map([[1, 1, 3, 4]], {1: CAT, 3: CAT, 4: CAT}, scores={1: 0.5, 3: 0.9, 4: 0.9})
    assert tally_of((predicted, truth)).categories()[CAT].ap == pytest.approx(1.0)


def test_without_any_score_there_is_no_precision(make_map: MakeMap) -> None:
    both = make_map([[1, 1]], {1: CAT})
    tally = tally_of((both, both))
    assert tally.categories() == {}
    assert (tally.scored, tally.unscored) == (0, 1)


def test_a_persons_segment_among_scored_ones_counts_as_certain(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY})
    predicted = make_map([[1, 1, 2, 2]], {1: CAT, 2: CAT}, scores={2: 0.9})
    tally = tally_of((predicted, truth))
    assert tally.categories()[CAT].ap50 == pytest.approx(1.0)
    assert (tally.scored, tally.unscored) == (1, 1)


def test_means_are_over_the_classes_that_have_a_figure() -> None:
    known = {CAT: Precision(1.0, 1.0, 1.0), DOG: Precision(0.0, 0.5, 0.0)}
    assert mean_precision(known, [CAT, DOG, SKY]) == pytest.approx(Precision(0.5, 0.75, 0.5))
    assert mean_precision(known, [SKY]) is None


def recall_of(predicted: PanopticMap, truth: PanopticMap) -> RecallTally:
    tally = RecallTally()
    tally.add(overlap_of(predicted, truth))
    return tally


def test_a_mask_counts_whatever_its_name(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 1, 1, 2]], {1: CAT, 2: SKY})
    tally = recall_of(make_map([[5, 5, 5, 0, 6]], {5: DOG, 6: SKY}), truth)
    assert tally.recall([CAT]) == (1.0, 1.0, 0.0)  # IoU 0.75
    assert tally.recall([SKY]) == (1.0, 1.0, 1.0)
    assert tally.recall([CAT, SKY]) == (1.0, 1.0, 0.5)
    assert tally.recall([DOG]) is None
    assert (tally.segments(CAT), tally.segments(DOG)) == (1, 0)


def test_without_predictions_nothing_is_recalled_and_crowds_do_not_count(
    make_map: MakeMap,
) -> None:
    truth = make_map([[1, 1, 2, 2]], {1: CAT, 2: CAT}, crowds=(2,))
    tally = recall_of(make_map([[0, 0, 0, 0]], {}), truth)
    assert tally.recall([CAT]) == (0.0, 0.0, 0.0)
    assert tally.segments(CAT) == 1
