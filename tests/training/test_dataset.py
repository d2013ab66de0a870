"""Samples from panoptic maps."""

import numpy as np

from frozenseg_label.training.dataset import sample_from_ids

IDS = np.array([[1, 1, 2], [0, 3, 2]], dtype=np.int32)
IMAGE = np.zeros((2, 3, 3), dtype=np.uint8)


def test_every_segment_with_a_label_becomes_a_mask() -> None:
    sample = sample_from_ids(IMAGE, IDS, {1: 7, 2: 5, 3: 7})
    assert sample.labels.tolist() == [7, 5, 7]
    assert sample.masks.tolist() == [
        [[True, True, False], [False, False, False]],
        [[False, False, True], [False, False, True]],
        [[False, False, False], [False, True, False]],
    ]


def test_segments_without_a_label_and_labels_without_pixels_are_no_targets() -> None:
    sample = sample_from_ids(IMAGE, IDS, {2: 5, 9: 1})
    assert sample.labels.tolist() == [5]
    assert sample.masks.shape == (1, 2, 3)


def test_an_image_may_have_no_targets() -> None:
    sample = sample_from_ids(IMAGE, IDS, {})
    assert sample.masks.shape == (0, 2, 3)
    assert sample.labels.shape == (0,)
