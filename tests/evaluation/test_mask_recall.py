"""Recall of masks, whatever they are called."""

from collections.abc import Callable

from frozenseg_label.evaluation.mask_recall import RecallTally
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.panoptic import PanopticMap

MakeMap = Callable[..., PanopticMap]
CAT, DOG, SKY = 1, 2, 3


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
