"""Panoptic quality: by hand, against panopticapi's saved figures, and against hotcoco."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frozenseg_label.evaluation.panoptic_quality import (
    CategoryQuality,
    HotcocoQuality,
    MeanQuality,
    PanopticTally,
    differences,
    mean_quality,
)
from frozenseg_label.formats.panoptic_dataset import PanopticDataset, read_coco_panoptic
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.vocabulary import Category, Vocabulary

MakeMap = Callable[..., PanopticMap]
CAT, DOG, SKY = 1, 2, 3


def tally_of(predicted: PanopticMap, truth: PanopticMap) -> PanopticTally:
    tally = PanopticTally()
    tally.add(predicted, truth)
    return tally


def test_a_pair_counts_with_its_iou_and_what_is_alone_against_it(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 1, 1], [2, 2, 3, 3]], {1: CAT, 2: CAT, 3: SKY})
    predicted = make_map([[7, 7, 7, 8], [0, 0, 9, 9]], {7: CAT, 8: DOG, 9: SKY})
    tally = tally_of(predicted, truth)
    assert tally.categories == {
        CAT: CategoryQuality(0.75, 1, 0, 1),
        DOG: CategoryQuality(0.0, 0, 1, 0),
        SKY: CategoryQuality(1.0, 1, 0, 0),
    }
    cat = tally.categories[CAT]
    assert (cat.sq, cat.rq, cat.pq) == pytest.approx((0.75, 2 / 3, 0.5))
    assert tally.mean([CAT, SKY]) == pytest.approx(MeanQuality(0.75, 0.875, 5 / 6, 2))
    assert tally.mean() == pytest.approx(MeanQuality(0.5, 1.75 / 3, 5 / 9, 3))  # DOG counts with 0


def test_an_iou_of_just_one_half_is_no_pair(make_map: MakeMap) -> None:
    tally = tally_of(make_map([[1, 0]], {1: CAT}), make_map([[1, 1]], {1: CAT}))
    assert tally.categories == {CAT: CategoryQuality(0.0, 0, 1, 1)}


def test_pixels_on_void_count_for_and_against_nobody(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 0, 0, 0]], {1: CAT})
    assert tally_of(make_map([[1, 1, 1, 1, 0]], {1: CAT}), truth).categories[CAT].pq == 1.0
    mostly_on_void = make_map([[1, 1, 2, 2, 2]], {1: CAT, 2: DOG})
    assert DOG not in tally_of(mostly_on_void, truth).categories


def test_half_on_void_is_not_mostly_on_void(make_map: MakeMap) -> None:
    tally = tally_of(make_map([[2, 2]], {2: DOG}), make_map([[1, 0]], {1: CAT}))
    assert tally.categories[DOG] == CategoryQuality(0.0, 0, 1, 0)


def test_a_crowd_is_nobodys_partner_and_forgives_its_own_class(make_map: MakeMap) -> None:
    truth = make_map([[1, 1, 1, 1]], {1: CAT}, crowds=(1,))
    assert not tally_of(make_map([[5, 5, 6, 6]], {5: CAT, 6: CAT}), truth).categories
    assert tally_of(make_map([[5, 5, 6, 6]], {5: DOG, 6: CAT}), truth).categories == {
        DOG: CategoryQuality(0.0, 0, 1, 0)
    }


def test_nothing_has_no_quality() -> None:
    assert PanopticTally().mean() == MeanQuality(0.0, 0.0, 0.0, 0)
    assert mean_quality({CAT: CategoryQuality(1.0, 1)}, [DOG]).categories == 0


def test_maps_of_two_sizes_are_refused(make_map: MakeMap) -> None:
    with pytest.raises(ValueError, match=r"sizes \(1, 2\) and \(1, 3\)"):
        PanopticTally().add(make_map([[1, 1]], {1: CAT}), make_map([[1, 1, 1]], {1: CAT}))


def golden_sets(golden: Path) -> tuple[PanopticDataset, PanopticDataset]:
    truth = read_coco_panoptic(golden / "panoptic_gt.json")
    return read_coco_panoptic(golden / "panoptic_pred.json", like=truth), truth


def agree_with_panopticapi(golden: Path, categories: dict[int, CategoryQuality]) -> None:
    expected = json.loads((golden / "expected.json").read_text())["panopticapi"]
    for category_id, figures in expected["per_class"].items():
        quality = categories[int(category_id)]
        for name in ("pq", "sq", "rq"):
            assert getattr(quality, name) == pytest.approx(figures[name], abs=1e-9)
    things, stuff = {1, 2, 5}, {7, 9, 12}
    for group, ids in (("All", None), ("Things", things), ("Stuff", stuff)):
        mean = mean_quality(categories, ids)
        assert mean == pytest.approx([expected[group][k] for k in ("pq", "sq", "rq", "n")])


def test_our_count_equals_panopticapis(golden: Path) -> None:
    predicted, truth = golden_sets(golden)
    tally = PanopticTally()
    for (_, one), (_, other) in zip(predicted, truth, strict=True):
        tally.add(one, other)
    agree_with_panopticapi(golden, tally.categories)


def test_hotcocos_count_equals_panopticapis(golden: Path, tmp_path: Path) -> None:
    predicted, truth = golden_sets(golden)
    quality = HotcocoQuality(truth.vocabulary, tmp_path)
    for (one, map_one), (other, map_other) in zip(predicted, truth, strict=True):
        quality.add(
            (map_one, predicted.folder / one.png_name), (map_other, truth.folder / other.png_name)
        )
    agree_with_panopticapi(golden, quality.categories())


CATEGORIES = Vocabulary("some", tuple(Category(f"c{i}", i, is_thing=i % 2 == 0) for i in range(4)))
TILES = st.lists(st.integers(0, 6), min_size=16, max_size=16)


@st.composite
def maps(draw: st.DrawFn, *, crowds: bool) -> PanopticMap:
    ids = np.kron(np.reshape(draw(TILES), (4, 4)), np.ones((2, 2))).astype(np.int32)
    segments = tuple(
        Segment(
            id_,
            draw(st.integers(0, 3)),
            True,
            area,
            bbox,
            is_crowd=crowds and draw(st.booleans()),
        )
        for id_, (area, bbox) in measure(ids).items()
    )
    return PanopticMap(ids, segments)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(maps(crowds=False), maps(crowds=True)), min_size=1, max_size=3))
def test_both_counts_agree_on_anything(pairs: list[tuple[PanopticMap, PanopticMap]]) -> None:
    tally = PanopticTally()
    with tempfile.TemporaryDirectory() as folder:
        quality = HotcocoQuality(CATEGORIES, Path(folder))
        for predicted, truth in pairs:
            tally.add(predicted, truth)
            quality.add((predicted, None), (truth, None))
        assert differences(quality.categories(), tally.categories) == []


@given(maps(crowds=False))
def test_a_map_agrees_with_itself(panoptic_map: PanopticMap) -> None:
    mean = tally_of(panoptic_map, panoptic_map).mean()
    assert mean.categories == len({s.category_id for s in panoptic_map.segments})
    assert mean.pq == pytest.approx(1.0 if mean.categories else 0.0)


def test_a_difference_between_two_counts_is_told() -> None:
    one = {CAT: CategoryQuality(0.8, 1), DOG: CategoryQuality(0.6, 1)}
    other = {CAT: CategoryQuality(0.8, 1), DOG: CategoryQuality(0.6, 1, 1)}
    assert differences(one, other) == [DOG]
    assert differences(one, {CAT: one[CAT]}) == [DOG]
