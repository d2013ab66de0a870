"""What was taken for what."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from frozenseg_label.evaluation.confusions import (
    Confusion,
    class_pairs,
    most_frequent_pixels,
    most_frequent_segments,
)
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.panoptic import PanopticMap

MakeMap = Callable[..., PanopticMap]
CAT, DOG, SKY = 1, 2, 3


def test_a_right_mask_with_a_wrong_name_is_a_confusion_of_segments(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 1, 2, 2]], {1: CAT, 2: SKY})
    predicted = make_map([[5, 5, 0, 6, 6]], {5: DOG, 6: SKY})
    assert class_pairs(overlap_of(predicted, truth)) == [(DOG, CAT)]
    too_small = make_map([[5, 0, 0, 6, 6]], {5: DOG, 6: SKY})
    assert class_pairs(overlap_of(too_small, truth)) == []


def test_the_most_frequent_come_first() -> None:
    pairs = Counter({(1, 2): 3, (2, 1): 5, (3, 1): 1})
    assert most_frequent_segments(pairs, {1: "cat", 2: "dog", 3: "sky"}, 2) == [
        Confusion("dog", "cat", 5),
        Confusion("cat", "dog", 3),
    ]


def test_of_pixels_neither_right_nor_unlabelled_ones_are_confused() -> None:
    counted = np.array([[0, 90, 0], [80, 70, 2], [0, 3, 60]])
    assert most_frequent_pixels(counted, ("cat", "dog"), 5) == [
        Confusion("dog", "cat", 3),
        Confusion("cat", "dog", 2),
    ]
