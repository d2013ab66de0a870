"""Two sets brought together by the names of images and classes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.common_vocabulary import match_vocabularies
from frozenseg_label.evaluation.pairing import pair
from frozenseg_label.formats.coco_panoptic import png_name
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Category, Vocabulary

MakeMap = Callable[..., PanopticMap]
MakeSet = Callable[..., Path]
OTHER = Vocabulary(
    "other", (Category("Dog ", 1), Category("bird", 2), Category("sky", 9, is_thing=False))
)


def test_classes_are_matched_by_name_whatever_their_numbers(vocabulary: Vocabulary) -> None:
    common = match_vocabularies(OTHER, vocabulary)
    assert common.predicted_ids == {1: 2, 9: 3, 2: 4}
    assert [category.name for category in common.vocabulary.categories] == [
        "cat",
        "dog",
        "sky",
        "bird",
    ]
    assert common.judged == {1, 2, 3}
    assert (common.only_predicted, common.only_true) == (("bird",), ("cat",))


def test_where_the_truth_knows_no_kinds_the_predictions_do(vocabulary: Vocabulary) -> None:
    flat = Vocabulary("flat", (Category("sky", 1), Category("cat", 2)))
    common = match_vocabularies(vocabulary, flat, tells_kinds=False)
    assert [category.is_thing for category in common.vocabulary.categories] == [False, True, True]


def test_images_of_both_sets_are_read_with_the_ids_of_the_truth(
    tmp_path: Path, make_map: MakeMap, make_set: MakeSet
) -> None:
    one = make_map([[1, 1]], {1: 1})
    predicted = make_set(tmp_path / "p", {"b.jpg": one, "a/x.jpg": one, "c.jpg": one}, OTHER)
    truth = make_set(tmp_path / "t", {"a/x.jpg": one, "b.jpg": one, "b.png": one})
    with open_label_set(predicted) as left, open_label_set(truth) as right:
        pairing = pair(left, right)
        assert pairing.images == ("a/x.jpg", "b.jpg")
        for paired in pairing:
            assert [s.category_id for s in paired.predicted.segments] == [2]
            assert [s.category_id for s in paired.truth.segments] == [1]
            assert paired.predicted_png == predicted / "panoptic" / png_name(paired.name)


def test_sets_without_a_common_image_are_refused_with_examples(
    tmp_path: Path, make_map: MakeMap, make_set: MakeSet
) -> None:
    one = make_map([[1]], {1: 1})
    predicted = make_set(tmp_path / "p", {f"{n}.jpg": one for n in range(5)})
    truth = make_set(tmp_path / "t", {f"val/{n}.png": one for n in range(5, 10)})
    with (
        open_label_set(predicted) as left,
        open_label_set(truth) as right,
        pytest.raises(FormatError) as caught,
    ):
        pair(left, right)
    assert "'0.jpg', '1.jpg', '2.jpg', ..." in str(caught.value)
    assert "'val/5.png', 'val/6.png', 'val/7.png', ..." in str(caught.value)


def test_sets_without_a_common_class_are_refused(
    tmp_path: Path, make_map: MakeMap, make_set: MakeSet
) -> None:
    one = make_map([[1]], {1: 1})
    words = Vocabulary("words", (Category("house", 1),))
    predicted = make_set(tmp_path / "p", {"a.jpg": one}, words)
    with (
        open_label_set(predicted) as left,
        open_label_set(make_set(tmp_path / "t", {"a.jpg": one})) as right,
        pytest.raises(FormatError, match=r"no class is in both sets: .* has 'house', .* 'cat'"),
    ):
        pair(left, right)


def test_labels_of_another_size_are_told_by_name(
    tmp_path: Path, make_map: MakeMap, make_set: MakeSet
) -> None:
    predicted = make_set(tmp_path / "p", {"a.jpg": make_map([[1, 1, 1]], {1: 1})})
    truth = make_set(tmp_path / "t", {"a.jpg": make_map([[1], [1]], {1: 1})})
    with (
        open_label_set(predicted) as left,
        open_label_set(truth) as right,
        pytest.raises(FormatError, match=r"a\.jpg: its labels are 3 x 1 .* 1 x 2"),
    ):
        list(pair(left, right))
