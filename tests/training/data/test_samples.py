"""A map of ids is resized and padded with its picture, and becomes targets."""

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
from frozenseg_label.training.data.targets import Truth

SIZE = InputSize(shortest=64, longest=96)


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
