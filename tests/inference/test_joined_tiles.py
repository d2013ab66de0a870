"""Maps drawn by hand, cut into tiles and joined again."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.inference.joined_tiles import JoinedLabels, JoinedTiles
from frozenseg_label.inference.tiling import Tiling, Window
from frozenseg_label.model.settings import InputSize
from frozenseg_label.panoptic import PanopticMap, Segment

CAT, DOG, SKY, SEA = 10, 20, 30, 40
SIZE = InputSize(64, 96)
TILING = Tiling(64, 16)
NOTHING = PanopticMap(np.zeros((10, 10), np.int32), ())

Classes = Mapping[int, tuple[int, float]]  # by id: category, score


def labels(ids: NDArray[np.int32], classes: Classes) -> PanopticMap:
    segments = [
        Segment(id_, category, category in {CAT, DOG}, score=score)
        for id_, (category, score) in classes.items()
    ]
    return PanopticMap.of(ids, segments)


def seen_in(window: Window, ids: NDArray[np.int32], classes: Classes) -> PanopticMap:
    """The labels of one tile, with ids of its own; a perfect model made them."""
    found, own = np.unique(ids[window.place], return_inverse=True)
    own = own.reshape(ids[window.place].shape).astype(np.int32)
    if found[0] != 0:
        own += 1
    numbers = [id_ for id_ in found.tolist() if id_]
    return labels(own, {place: classes[id_] for place, id_ in enumerate(numbers, start=1)})


def joined(ids: NDArray[np.int32], classes: Classes, whole: PanopticMap = NOTHING) -> JoinedLabels:
    tiles = JoinedTiles(whole, {}, ids.shape, 64)
    for window in TILING.windows(ids.shape, SIZE):
        tile = seen_in(window, ids, classes)
        vectors = {s.id: np.eye(8, dtype=np.float16)[s.category_id // 10] for s in tile.segments}
        tiles.add(window, tile, vectors)
    found = tiles.finish()
    found.panoptic.check()
    return found


def test_a_thing_across_four_tiles_is_one_segment_and_so_is_all_sky() -> None:
    ids = np.full((160, 160), 1, np.int32)
    ids[20:140, 30:150] = 2
    ids[60:70] = 1  # two patches of sky in the middle of two cats
    ids[70:140, 30:150] = 3
    found = joined(ids, {1: (SKY, 0.9), 2: (CAT, 0.8), 3: (CAT, 0.7)}).panoptic
    assert sorted((s.category_id, s.area, s.score) for s in found.segments) == [
        (CAT, 40 * 120, 0.8),
        (CAT, 70 * 120, 0.7),
        (SKY, 160 * 160 - 110 * 120, 0.9),
    ]
    names = {s.id: s.score for s in found.segments}
    assert [names[found.ids[y, x]] for y, x in ((21, 31), (139, 149), (65, 80))] == [0.8, 0.7, 0.9]


def test_things_that_touch_at_an_edge_of_a_tile_stay_two() -> None:
    ids = np.zeros((64, 112), np.int32)  # the tiles share the columns 48 to 63
    ids[10:50, :56], ids[10:50, 56:] = 1, 2
    found = joined(ids, {1: (CAT, 0.8), 2: (CAT, 0.7)}).panoptic
    assert sorted(s.area for s in found.segments) == [40 * 56, 40 * 56]


def test_parts_of_one_thing_with_two_names_get_the_name_of_the_larger() -> None:
    tiles = JoinedTiles(NOTHING, {}, (64, 112), 64)
    thing = np.zeros((64, 112), np.int32)
    thing[10:50, 30:112] = 1
    names = iter([DOG, CAT])
    for window in TILING.windows(thing.shape, SIZE):
        tiles.add(window, labels(thing[window.place], {1: (next(names), 0.5)}), {})
    (cat,) = tiles.finish().panoptic.segments
    assert (cat.category_id, cat.area) == (CAT, 40 * 82)


def test_what_one_tile_shows_whole_is_not_cut_at_the_middle_of_the_overlap() -> None:
    tiles = JoinedTiles(NOTHING, {}, (64, 112), 64)
    first, second = TILING.windows((64, 112), SIZE)
    ids = np.zeros((64, 64), np.int32)
    ids[10:20, 40:62] = 1  # whole in the first tile
    tiles.add(first, labels(ids, {1: (CAT, 0.5)}), {})
    sky = np.ones((64, 64), np.int32)  # the second sees only sky there
    tiles.add(second, labels(sky, {1: (SKY, 0.5)}), {})
    found = {s.category_id: s.area for s in tiles.finish().panoptic.segments}
    assert found[CAT] == 10 * 22


def test_a_segment_has_the_mean_vector_of_its_parts() -> None:
    ids = np.zeros((64, 112), np.int32)
    ids[10:50, 5:100] = 1
    found = joined(ids, {1: (CAT, 0.8)})
    np.testing.assert_array_equal(found.embeddings[1], np.eye(8, dtype=np.float16)[CAT // 10])


def large_cat(score: float) -> PanopticMap:
    """Of the whole picture at half the size: a cat larger than a tile."""
    ids = np.zeros((80, 80), np.int32)
    ids[5:75, 5:75] = 1
    return labels(ids, {1: (CAT, score)})


def in_pieces() -> NDArray[np.int32]:
    """Strips that no tile shows whole, of which one is no part of the large thing."""
    ids = np.zeros((160, 160), np.int32)
    ids[10:60, 10:150], ids[60:105, 10:150], ids[105:150, 10:150] = 1, 2, 3
    return ids


def test_a_thing_larger_than_a_tile_gets_the_pieces_that_it_is_surer_of() -> None:
    classes = {1: (DOG, 0.5), 2: (CAT, 0.9), 3: (SKY, 0.7)}
    found = joined(in_pieces(), classes, large_cat(0.8)).panoptic
    (cat,) = found.segments
    assert (cat.category_id, cat.score, cat.area) == (CAT, 0.8, 140 * 140)


def test_pieces_that_are_surer_than_the_whole_picture_stay() -> None:
    classes = {1: (DOG, 0.5), 2: (CAT, 0.9), 3: (SKY, 0.7)}
    found = joined(in_pieces(), classes, large_cat(0.6)).panoptic
    assert {s.category_id: s.area for s in found.segments} == {CAT: 95 * 140, SKY: 45 * 140}


def test_a_small_thing_on_a_large_one_stays() -> None:
    ids = np.zeros((160, 160), np.int32)
    ids[10:30, 10:30] = 1  # whole in the first tile
    found = joined(ids, {1: (DOG, 0.1)}, large_cat(0.8)).panoptic
    assert {s.category_id: s.area for s in found.segments} == {DOG: 400, CAT: 140 * 140 - 400}


def test_what_is_not_larger_than_a_tile_is_left_to_the_tiles() -> None:
    small = np.zeros((80, 80), np.int32)
    small[5:36, 5:36] = 1
    found = joined(
        in_pieces(), {1: (DOG, 0.5), 2: (CAT, 0.9), 3: (SEA, 0.7)}, labels(small, {1: (CAT, 0.99)})
    )
    assert sorted(s.category_id for s in found.panoptic.segments) == [CAT, DOG, SEA]
