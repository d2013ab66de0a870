"""Walks around masks, and polygons that OpenCV draws as the same masks again."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage

from frozenseg_label.formats.outlines import joined, outlines, polygon

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9))


def drawn(polygons: list[NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    canvas = np.zeros(shape, dtype=np.uint8)
    for points in polygons:
        cv2.fillPoly(canvas, [points.astype(np.int32)], (1,))
    return canvas.astype(bool)


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_opencv_draws_the_polygons_as_the_mask_with_its_holes_filled(
    mask: NDArray[np.bool_],
) -> None:
    outer = [polygon(outline) for outline in outlines(mask) if not outline.is_hole]
    assert np.array_equal(drawn(outer, mask.shape), ndimage.binary_fill_holes(mask))


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_parts_touch_at_corners_and_holes_do_not(mask: NDArray[np.bool_]) -> None:
    found = [outline.is_hole for outline in outlines(mask)]
    outside = ndimage.label(np.pad(~mask, 1, constant_values=True))[1]
    assert found.count(True) == outside - 1
    assert found.count(False) == ndimage.label(mask, np.ones((3, 3)))[1]


def test_a_polygon_has_corners_only() -> None:
    (square,) = outlines(np.ones((5, 7), dtype=bool))
    assert sorted(map(tuple, polygon(square).tolist())) == [(0, 0), (0, 4), (6, 0), (6, 4)]
    (pixel,) = outlines(np.ones((1, 1), dtype=bool))
    assert polygon(pixel).tolist() == [[0, 0]]


def test_parts_are_joined_where_they_are_nearest() -> None:
    mask = np.zeros((5, 9), dtype=bool)
    mask[1:4, 0:3] = mask[1:4, 6:9] = True
    whole = joined([polygon(outline) for outline in outlines(mask)])
    line = drawn([whole], mask.shape) & ~mask
    assert mask[drawn([whole], mask.shape) & ~line].all()
    assert line.sum() == 3  # pixels of the one line between them
