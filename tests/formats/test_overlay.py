"""A picture and the labels over it, scaled down and drawn."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.formats.overlay import (
    encode_picture,
    fitted_size,
    inner_spots,
    overlay_file,
    segment_places,
)
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary("two", (Category("cat", 1, color=(250, 0, 0)), Category("ж", 2)))


def a_map(ids: NDArray[np.int32], order: tuple[int, ...]) -> PanopticMap:
    return PanopticMap(ids, tuple(Segment(id_, 1, True, 1, (0, 0, 1, 1)) for id_ in order))


def test_a_large_picture_is_scaled_to_its_longer_side() -> None:
    assert fitted_size((3000, 4000), 1280) == (960, 1280)
    assert fitted_size((4000, 3000), 1280) == (1280, 960)


def test_a_small_picture_stays_as_it_is() -> None:
    assert fitted_size((3, 4), 1280) == (3, 4)


def test_a_very_thin_picture_keeps_a_pixel() -> None:
    assert fitted_size((1, 5000), 1000) == (1, 1000)


def test_no_picture_fits_into_nothing() -> None:
    with pytest.raises(ValueError, match="max_side"):
        fitted_size((3, 4), 0)


def test_the_picture_is_a_jpeg_of_the_size_asked_for() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = (200, 30, 90)
    image = Image.open(io.BytesIO(encode_picture(pixels, (20, 30))))
    assert (image.format, image.size) == ("JPEG", (30, 20))
    shown = np.asarray(image).astype(int)
    assert np.abs(shown[10, 5] - (0, 0, 0)).max() < 12
    assert np.abs(shown[10, 25] - (200, 30, 90)).max() < 12


def test_a_pixel_says_which_segment_of_the_list_it_belongs_to() -> None:
    ids = np.array([[0, 900, 900], [7, 7, 16_777_215]], dtype=np.int32)
    places = segment_places(a_map(ids, (900, 16_777_215, 7)), (2, 3))
    assert places.tolist() == [[0, 1, 1], [3, 3, 2]]
    assert places.dtype == np.uint8


def test_a_smaller_map_takes_the_segment_at_each_centre() -> None:
    ids = np.repeat(np.repeat(np.array([[5, 6], [0, 5]], np.int32), 3, axis=0), 3, axis=1)
    assert segment_places(a_map(ids, (5, 6)), (2, 2)).tolist() == [[1, 2], [0, 1]]


def test_more_segments_than_a_byte_counts_are_told_apart() -> None:
    ids = np.arange(1, 301, dtype=np.int32).reshape(10, 30)
    places = segment_places(a_map(ids, tuple(range(1, 301))), (10, 30))
    assert places.dtype == np.uint16
    assert places.ravel().tolist() == list(range(1, 301))


@settings(deadline=None)  # the first call imports scipy
@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 4)),
    st.sampled_from([1, 40]),
)
def test_a_spot_lies_inside_its_segment(places: NDArray[np.uint8], larger: int) -> None:
    places = np.kron(
        places, np.ones((larger, larger), np.uint8)
    )  # beyond 256, a coarse map is used
    spots = inner_spots(places, 4)
    assert len(spots) == 4
    for place, spot in enumerate(spots, start=1):
        assert (spot is not None) == bool((places == place).any())
        if spot is not None:
            x, y, radius = spot
            assert places[y, x] == place
            assert radius >= 1


def test_a_spot_is_where_a_name_has_most_room() -> None:
    places = np.zeros((9, 20), np.uint8)
    places[4, :] = 1  # a thin line
    places[2:7, 12:17] = 1  # with a square on it
    assert inner_spots(places, 2) == [(14, 4, 3), None]


def opened(file: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(file))).astype(int)


def test_an_overlay_is_tinted_by_class_and_dark_where_nothing_is_labelled() -> None:
    pixels = np.full((200, 300, 3), 100, np.uint8)
    ids = np.zeros((200, 300), np.int32)
    ids[20:180, 20:120] = 7
    drawn = opened(overlay_file(pixels, a_map(ids, (7,)), VOCABULARY))
    assert drawn.shape == (200, 300, 3)
    red, green, _ = drawn[30, 40]
    assert red > 140 > green
    assert drawn[100, 250].max() < 60
    assert drawn[100, 119:121].max() > 200  # the outline
    middle = drawn[30:170, 30:110]
    assert middle.min() < 30  # letters are white in black
    assert middle[..., 1].max() > 200


def test_an_overlay_of_a_large_picture_is_scaled_down() -> None:
    pixels = np.zeros((30, 400, 3), np.uint8)
    ids = np.ones((30, 400), np.int32)
    assert opened(overlay_file(pixels, a_map(ids, (1,)), VOCABULARY, max_side=200)).shape == (
        15,
        200,
        3,
    )


def test_the_tiniest_picture_and_one_without_segments_are_drawn() -> None:
    for shape in ((1, 1), (40, 40)):
        pixels, ids = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.int32)
        assert opened(overlay_file(pixels, a_map(ids, ()), VOCABULARY)).shape == (*shape, 3)
        assert opened(overlay_file(pixels, a_map(ids + 1, (1,)), VOCABULARY)).shape == (*shape, 3)
