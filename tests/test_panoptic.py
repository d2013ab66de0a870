"""Areas and boxes of segments."""

import numpy as np

from frozenseg_label.panoptic import measure


def test_areas_and_boxes_are_those_of_the_pixels() -> None:
    ids = np.array([[7, 7, 0, 2], [0, 7, 2, 2], [7, 0, 0, 9]], np.int32)
    assert measure(ids) == {
        7: (4, (0, 0, 2, 3)),
        2: (3, (2, 0, 2, 2)),
        9: (1, (3, 2, 1, 1)),
    }


def test_every_pixel_may_be_a_segment() -> None:
    ids = np.arange(1, 90_001, dtype=np.int32).reshape(300, 300)
    found = measure(ids)  # a mask for each id would take minutes
    assert len(found) == 90_000
    assert found[601] == (1, (0, 2, 1, 1))


def test_a_map_without_pixels_has_no_segments() -> None:
    assert measure(np.zeros((0, 4), np.int32)) == {}
