"""Masks drawn by hand on a grid of 4 x 6 pixels, at one size throughout unless a test says so."""

import numpy as np
import pytest
import torch
from torch import Tensor

from frozenseg_label.inference import mask_tiles
from frozenseg_label.inference.panoptic_merge import panoptic_merge
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.proposals import ClassifiedMasks
from frozenseg_label.model.settings import MergeSettings
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Category, Vocabulary

CAT, DOG, SKY, VOID = range(4)
WORDS = Vocabulary(
    "pets",
    (Category("cat", 10), Category("dog", 20), Category("sky", 30, is_thing=False)),
)
SIZE = (4, 6)


def box(rows: slice, columns: slice, inside: float = 9.0, outside: float = -9.0) -> Tensor:
    logits = torch.full(SIZE, outside)
    logits[rows, columns] = inside
    return logits


def probs(category: int, best: float, second: int, next_best: float) -> Tensor:
    """Two categories given, the rest shared by the others."""
    row = torch.full((4,), (1 - best - next_best) / 2)
    row[category], row[second] = best, next_best
    return row


LEFT, RIGHT = slice(0, 3), slice(3, 6)
ALL = slice(None)


def merge(
    masks: list[Tensor],
    classes: list[Tensor],
    vocabulary: Vocabulary = WORDS,
    min_score: float = 0.0,
    max_mask_iou: float = 1.0,
) -> PanopticMap:
    classified = ClassifiedMasks(
        torch.stack(masks)[None], torch.stack(classes)[None], torch.arange(len(masks))[None] / 10
    )
    result = panoptic_merge(
        classified,
        Framing(SIZE, SIZE, SIZE),
        vocabulary,
        source="model:abc",
        min_score=min_score,
        settings=MergeSettings(max_mask_iou=max_mask_iou),
    ).panoptic
    result.check()
    return result


def test_a_segment_tells_its_score_its_rival_and_where_it_came_from() -> None:
    result = merge(
        [box(ALL, LEFT), box(slice(1, 3), RIGHT)],
        [probs(CAT, 0.6, DOG, 0.3), probs(SKY, 0.7, CAT, 0.2)],
    )
    cat, sky = result.segments
    assert (cat.id, cat.category_id, cat.is_thing, cat.area) == (1, 10, True, 12)
    assert (cat.score, cat.margin, cat.second) == (pytest.approx(0.6), pytest.approx(0.3), 20)
    assert (cat.source, cat.state, cat.disagreement) == ("model:abc", "proposed", 0.0)
    assert (sky.id, sky.category_id, sky.is_thing, sky.second) == (2, 30, False, 10)
    assert sky.bbox == (3, 1, 3, 2)
    assert sky.disagreement == pytest.approx(0.1)


def test_void_is_not_the_second_class() -> None:
    (cat,) = merge([box(ALL, ALL)], [probs(CAT, 0.5, VOID, 0.4)]).segments
    assert cat.second in {20, 30}
    assert cat.margin == pytest.approx(0.45)


def test_a_mask_that_is_most_probably_void_is_dropped() -> None:
    result = merge([box(ALL, ALL)], [probs(VOID, 0.5, CAT, 0.4)])
    assert result.segments == ()
    assert not result.ids.any()


def test_a_pixel_goes_to_score_times_mask_probability() -> None:
    half = box(ALL, ALL, inside=0.1)  # 0.9 x 0.52 loses against 0.5 x 1.0
    result = merge([half, box(ALL, LEFT)], [probs(CAT, 0.9, DOG, 0.1), probs(DOG, 0.5, CAT, 0.4)])
    assert [s.category_id for s in result.segments] == [20]  # too little of the cat is left
    assert (result.ids[:, LEFT] == 1).all()


def test_a_mask_mostly_hidden_by_a_stronger_one_is_dropped_and_its_pixels_stay_unlabelled() -> None:
    result = merge(
        [box(ALL, ALL), box(ALL, slice(0, 5))],
        [probs(CAT, 0.5, DOG, 0.4), probs(DOG, 0.9, CAT, 0.1)],
    )
    assert [s.category_id for s in result.segments] == [20]
    assert (result.ids[:, 5] == 0).all()


def test_a_mask_of_which_exactly_the_share_stays_visible_is_kept() -> None:
    wide, narrow = box(slice(0, 1), slice(0, 5)), box(ALL, slice(0, 1))
    result = merge([wide, narrow], [probs(CAT, 0.5, DOG, 0.4), probs(DOG, 0.9, CAT, 0.1)])
    assert [s.area for s in result.segments] == [4, 4]  # 4 of 5 pixels = 0.8


def test_a_pixel_that_its_winner_does_not_cover_stays_unlabelled() -> None:
    result = merge([box(ALL, LEFT, outside=-0.1)], [probs(CAT, 0.9, DOG, 0.1)])
    assert (result.ids[:, RIGHT] == 0).all()
    assert result.segments[0].area == 12


def test_two_cats_are_two_segments_but_two_patches_of_sky_are_one() -> None:
    top = slice(0, 2), slice(2, 4)
    patches = [box(top[0], LEFT), box(top[1], LEFT), box(top[0], RIGHT), box(top[1], RIGHT)]
    classes = [probs(SKY, 0.5, CAT, 0.4), probs(CAT, 0.8, DOG, 0.1)]
    result = merge(patches, [classes[0], classes[1], classes[1], classes[0]])
    assert [s.category_id for s in result.segments] == [30, 10, 10]
    sky = result.segments[0]
    assert sky.area == 12
    assert sky.bbox == (0, 0, 6, 4)


def test_the_largest_part_speaks_for_joined_stuff() -> None:
    result = merge(
        [box(slice(0, 1), ALL), box(slice(1, 4), ALL)],
        [probs(SKY, 0.9, CAT, 0.1), probs(SKY, 0.6, DOG, 0.2)],
    )
    (sky,) = result.segments
    assert (sky.score, sky.second) == (pytest.approx(0.6), 20)
    assert sky.disagreement == pytest.approx(0.1)


def test_a_mask_below_the_threshold_hides_nothing() -> None:
    weak, strong = probs(CAT, 0.45, DOG, 0.2), probs(DOG, 0.5, CAT, 0.3)
    masks = [box(ALL, ALL), box(ALL, LEFT, inside=1.0)]
    assert [s.category_id for s in merge(masks, [weak, strong]).segments] == [10]
    above = merge(masks, [weak, strong], min_score=0.48)
    assert [s.category_id for s in above.segments] == [20]
    assert above.segments[0].area == 12


def test_each_category_may_ask_for_more_than_the_global_threshold() -> None:
    strict = Vocabulary(
        "strict", (Category("cat", 1, min_score=0.7), Category("dog", 2), Category("x", 3))
    )
    masks = [box(ALL, LEFT), box(ALL, RIGHT)]
    classes = [probs(CAT, 0.6, DOG, 0.2), probs(DOG, 0.6, CAT, 0.2)]
    assert [s.category_id for s in merge(masks, classes, strict, min_score=0.5).segments] == [2]
    assert merge(masks, classes, strict, min_score=0.65).segments == ()


def test_one_category_has_no_second() -> None:
    only = Vocabulary("only", (Category("cat", 5),))
    (cat,) = merge([box(ALL, LEFT)], [torch.tensor([0.7, 0.3])], only).segments
    assert (cat.score, cat.margin, cat.second) == (pytest.approx(0.7), None, None)


def test_masks_of_one_thing_hide_each_other_unless_the_most_probable_one_stays_alone() -> None:
    first, second = box(ALL, ALL, inside=0.1), box(ALL, ALL, inside=0.1)
    first[:, LEFT], second[:, RIGHT] = 9.0, 9.0  # both cover all, each is surer of its half
    masks = [first, second, box(slice(0, 1), slice(0, 1))]
    classes = [probs(CAT, 0.44, DOG, 0.4), probs(DOG, 0.45, CAT, 0.4), probs(CAT, 0.9, DOG, 0.1)]
    assert [s.area for s in merge(masks, classes).segments] == [1]
    dog, cat = merge(masks, classes, max_mask_iou=0.6).segments
    assert (dog.category_id, dog.area, cat.category_id, cat.area) == (20, 23, 10, 1)


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_mask_iou=1\.5"):
        MergeSettings(max_mask_iou=1.5)


def test_a_mask_that_covers_nothing_gives_no_segment() -> None:
    assert merge([box(ALL, ALL, inside=-1.0)], [probs(CAT, 0.9, DOG, 0.1)]).segments == ()


def test_the_map_has_the_output_size_and_knows_no_padding() -> None:
    masks = ClassifiedMasks(torch.full((1, 8, 8), 5.0), torch.tensor([[0.9, 0.1]]), torch.zeros(1))
    only = Vocabulary("only", (Category("cat", 5),))
    framing = Framing((32, 32), (20, 30), (41, 61))
    result = panoptic_merge(masks, framing, only, source="model:abc").panoptic
    assert result.ids.shape == (41, 61)
    assert result.segments[0].area == 41 * 61


def test_the_height_of_tiles_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    masks = ClassifiedMasks(
        torch.randn(1, 9, 8, 10) * 4, torch.randn(1, 9, 4).softmax(-1), torch.rand(1, 9)
    )
    framing = Framing((32, 40), (30, 37), (45, 52))

    def merged() -> PanopticMap:
        settings = MergeSettings(0.2)
        return panoptic_merge(masks, framing, WORDS, source="model:abc", settings=settings).panoptic

    whole = merged()
    monkeypatch.setattr(mask_tiles, "TILE_VALUES", 1)  # every row is a tile
    rows = merged()
    assert len(whole.segments) > 1
    np.testing.assert_array_equal(rows.ids, whole.ids)
    assert rows.segments == whole.segments


def test_a_vocabulary_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="3 columns"):
        merge([box(ALL, ALL)], [torch.tensor([0.5, 0.3, 0.2])])


def test_a_threshold_in_percent_is_refused() -> None:
    with pytest.raises(ValueError, match="min_score 40"):
        merge([box(ALL, ALL)], [probs(CAT, 0.9, DOG, 0.1)], min_score=40)
