"""A map of ids becomes targets, and is resized and padded with its picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.settings import InputSize
from frozenseg_label.training.data.samples import prepare_sample
from frozenseg_label.training.data.targets import FIRST_REFUSED, IGNORED, Truth, targets_of

IDS = np.array([[1, 1, 2], [0, 3, 2]], dtype=np.int32)
SIZE = InputSize(shortest=64, longest=96)


def test_every_segment_with_a_label_becomes_a_mask() -> None:
    targets = targets_of(IDS, Truth({1: 7, 2: 5, 3: 7}))
    assert targets.labels.tolist() == [7, 5, 7]
    assert targets.masks.tolist() == [
        [[True, True, False], [False, False, False]],
        [[False, False, True], [False, False, True]],
        [[False, False, False], [False, True, False]],
    ]
    assert targets.known is None


def test_segments_without_a_label_and_labels_without_pixels_are_no_targets() -> None:
    targets = targets_of(IDS, Truth({2: 5, 9: 1}))
    assert targets.labels.tolist() == [5]
    assert targets.masks.shape == (1, 2, 3)


def test_an_image_may_have_no_targets() -> None:
    targets = targets_of(IDS, Truth({}))
    assert targets.masks.shape == (0, 2, 3)
    assert targets.labels.shape == (0,)
    assert targets.labels.dtype == torch.int64


def test_weights_go_with_their_targets() -> None:
    targets = targets_of(IDS, Truth({1: 0, 2: 0, 3: 0}, weights={3: 2.5}))
    assert targets.target_weights.tolist() == [1.0, 1.0, 2.5]


def test_of_ignored_and_refused_pixels_nothing_is_known_but_what_was_refused() -> None:
    ids = np.array([[1, IGNORED, FIRST_REFUSED], [0, FIRST_REFUSED + 1, 0]], dtype=np.int32)
    targets = targets_of(ids, Truth({1: 4}, refused={FIRST_REFUSED: 4, FIRST_REFUSED + 1: 2}))
    assert targets.known is not None
    assert targets.known.tolist() == [[True, False, False], [True, False, True]]
    of_four, of_two, of_others = (targets.known_of(label) for label in (4, 2, 0))
    assert of_four is not None
    assert of_two is not None
    assert of_others is not None
    assert of_four.tolist() == [[True, False, True], [True, False, True]]
    assert of_two.tolist() == [[True, False, False], [True, True, True]]
    assert torch.equal(of_others, targets.known)


@pytest.mark.parametrize("size", [(64, 64), (40, 50), (200, 30), (7, 7)])
def test_a_sample_is_the_picture_as_the_model_sees_it_with_masks_of_its_size(
    size: tuple[int, int],
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    sample = prepare_sample("a", picture, np.ones(size, np.int32), Truth({1: 0}), SIZE)
    prepared = prepare_image(picture, SIZE.shortest, SIZE.longest, SIZE.divisor)
    height, width = prepared.framing.image
    assert torch.equal(sample.pixels, prepared.pixels)
    assert sample.image_size == prepared.framing.image
    assert sample.shape == prepared.framing.padded == sample.targets.masks.shape[1:]
    assert sample.targets.masks[0, :height, :width].all()
    assert sample.targets.masks.sum() == height * width  # the padding shows nothing


@st.composite
def objects(draw: st.DrawFn) -> NDArray[np.int32]:
    """Draw ids: an object of a few boxes (id 1) on a ground of 2."""
    height, width = draw(st.integers(5, 150)), draw(st.integers(5, 150))
    ids = np.full((height, width), 2, dtype=np.int32)
    for _ in range(draw(st.integers(1, 3))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        ids[top : top + draw(st.integers(1, 90)), left : left + draw(st.integers(1, 90))] = 1
    return ids


@settings(deadline=None)
@given(objects())
def test_what_covers_an_object_before_covers_it_after(ids: NDArray[np.int32]) -> None:
    """Away from the object's rim, the picture shows the object where the mask says so."""
    picture = np.where(ids[..., None] == 1, 250, 10).astype(np.uint8).repeat(3, axis=2)
    sample = prepare_sample("a", picture, ids, Truth({1: 0, 2: 1}), SIZE)
    sizes = zip(sample.image_size, ids.shape, strict=True)
    window = [2 * int(np.ceil(max(1.0, of / to))) + 1 for to, of in sizes]
    rim = minimum_filter(ids, window, mode="nearest") != maximum_filter(ids, window, mode="nearest")
    rim_after = prepare_sample("a", picture, rim.astype(np.int32), Truth({1: 0}), SIZE).targets
    blurred = rim_after.masks.any(dim=0)
    red = sample.pixels[0]
    for label, mask in zip(sample.targets.labels.tolist(), sample.targets.masks, strict=True):
        assert (red[mask & ~blurred] == (250, 10)[label]).all()
