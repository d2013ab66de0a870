"""Resizing, rounding and padding of what goes in."""

import numpy as np
import pytest
import torch
from PIL import Image

from frozenseg_label.inference.preprocess import Framing, prepare_image, resized_size


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ((480, 640), (800, 1067)),  # 1066.67 rounds up
        ((640, 480), (1067, 800)),
        ((512, 512), (800, 800)),
        ((400, 2000), (267, 1333)),  # the long side is capped: 266.6
        ((1, 5000), (1, 1333)),  # never shorter than a pixel
    ],
)
def test_the_shorter_side_becomes_800_unless_the_longer_would_exceed_1333(
    original: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(original, 800, 1333) == expected


def test_half_a_pixel_rounds_up() -> None:
    assert resized_size((4, 5), 2, 100) == (2, 3)  # 2.5; Python's round would give 2


def test_padding_lies_right_and_below_and_is_zero() -> None:
    prepared = prepare_image(noise(20, 30), shortest=40, longest=100)
    assert prepared.framing == Framing(padded=(64, 64), image=(40, 60), original=(20, 30))
    assert prepared.pixels.shape == (3, 64, 64)
    assert prepared.pixels.dtype == torch.float32
    assert not prepared.pixels[:, 40:].any()
    assert not prepared.pixels[:, :, 60:].any()


def test_pixels_are_those_of_pillows_bilinear_resize_on_bytes() -> None:
    image = noise(90, 70)
    prepared = prepare_image(image, shortest=32, longest=64)
    expected = np.asarray(Image.fromarray(image).resize((32, 41), Image.Resampling.BILINEAR))
    inside = prepared.pixels[:, :41, :32].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(inside, expected.astype(np.float32))


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = noise(32, 64)
    prepared = prepare_image(image, shortest=32, longest=64)
    np.testing.assert_array_equal(prepared.pixels.permute(1, 2, 0).numpy(), image)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
)
def test_only_rgb_bytes_are_taken(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        prepare_image(image, 32, 64)


def test_a_longest_side_below_the_shortest_is_refused() -> None:
    with pytest.raises(ValueError, match="shortest"):
        prepare_image(noise(4, 4), shortest=64, longest=32)
