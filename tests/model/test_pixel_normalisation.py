"""Pixels are normalised inside the image and zero outside."""

import pytest
import torch
from torch.testing import assert_close

from frozenseg_label.model.pixel_normalisation import normalise_pixels

MEAN = (100.0, 110.0, 120.0)
STD = (10.0, 20.0, 30.0)


def test_the_mean_becomes_zero_and_one_deviation_more_becomes_one() -> None:
    pixels = torch.tensor([[100.0, 110.0], [110.0, 130.0], [120.0, 150.0]])[None, :, None]
    normalised = normalise_pixels(pixels, [(1, 2)], MEAN, STD)
    assert_close(normalised[0, :, 0], torch.tensor([[0.0, 1.0]] * 3))


def test_padding_is_zero_whatever_stood_there() -> None:
    pixels = torch.full((2, 3, 4, 6), 255.0)
    pixels[0, :, 3:] = torch.nan
    pixels[0, :, :, 5:] = torch.inf
    normalised = normalise_pixels(pixels, [(3, 5), (4, 6)], MEAN, STD)
    assert normalised[0, :, 3:].count_nonzero() == 0
    assert normalised[0, :, :, 5:].count_nonzero() == 0
    assert torch.equal(normalised[0, :, :3, :5], normalised[1, :, :3, :5])
    assert (normalised[1] > 0).all()


def test_bytes_are_taken_too() -> None:
    pixels = torch.randint(256, (1, 3, 4, 4), dtype=torch.uint8)
    as_float = normalise_pixels(pixels.float(), [(4, 4)], MEAN, STD)
    assert torch.equal(normalise_pixels(pixels, [(4, 4)], MEAN, STD), as_float)


@pytest.mark.parametrize("size", [(5, 4), (4, 5), (0, 4)])
def test_an_image_size_that_does_not_fit_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        normalise_pixels(torch.zeros(1, 3, 4, 4), [size], MEAN, STD)


def test_every_image_needs_its_size() -> None:
    with pytest.raises(ValueError, match="2 images but 1"):
        normalise_pixels(torch.zeros(2, 3, 4, 4), [(4, 4)], MEAN, STD)
