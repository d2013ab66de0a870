"""Where a picture is cut, and how a tile enters the model."""

import numpy as np
import pytest

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.inference.preprocess import Framing, resized_size
from frozenseg_label.inference.tiling import Tiling, prepare, prepare_tile
from frozenseg_label.model.settings import InputSize

SIZE = InputSize(shortest=64, longest=96)


@pytest.mark.parametrize(
    "original", [(100, 100), (250, 100), (64, 1000), (257, 513), (30, 400), (101, 64)]
)
@pytest.mark.parametrize("overlap", [None, 0, 32])
def test_tiles_show_every_pixel_and_overlap_as_much_as_is_asked(
    original: tuple[int, int], overlap: int | None
) -> None:
    tiles, owners = np.zeros(original, int), np.zeros(original, int)
    for window in Tiling(64, overlap).windows(original, SIZE):
        height, width = tiles[window.place].shape
        assert (height, width) == (min(64, original[0]), min(64, original[1]))
        least = 8 if overlap is None else overlap
        assert all(band >= least for band in window.bands if band)
        tiles[window.place] += 1
        owners[window.place][window.own] = tiles[window.place][window.own]
    assert tiles.min() >= 1
    assert owners.min() >= 1


def test_a_tile_knows_beyond_which_edges_the_picture_goes_on() -> None:
    edges = [window.inner_edges for window in Tiling(64, 0).windows((128, 64), SIZE)]
    assert edges == [(False, True, False, False), (True, False, False, False)]


@pytest.mark.parametrize(
    ("original", "cut"), [((256, 256), False), ((260, 260), True), ((64, 380), False)]
)
def test_auto_cuts_what_the_model_would_shrink_more_than_four_times(
    original: tuple[int, int], cut: bool
) -> None:
    seen = resized_size(original, SIZE.shortest, SIZE.longest)
    assert Tiling("auto").cuts(Framing(seen, seen, original), SIZE) == cut
    prepared = prepare(np.zeros((*original, 3), np.uint8), SIZE, Tiling("auto"))
    assert (prepared.picture is not None) == cut


def test_without_tiling_no_picture_is_cut() -> None:
    assert prepare(np.zeros((2000, 3000, 3), np.uint8), SIZE, None).picture is None


@pytest.mark.parametrize(
    ("side", "seen"), [(64, (64, 64)), (80, (80, 80)), (200, (96, 96)), (40, (64, 64))]
)
def test_a_tile_keeps_its_resolution_where_the_model_can_take_it(
    side: int, seen: tuple[int, int]
) -> None:
    assert prepare_tile(np.zeros((side, side, 3), np.uint8), SIZE).framing.image == seen


def test_sides_and_overlaps_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 64, got 10"):
        Tiling(10)
    with pytest.raises(FrozenSegLabelError, match="half of a tile, 100, got 101"):
        Tiling(200, 101)
