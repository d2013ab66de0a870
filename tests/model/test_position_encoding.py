"""Sine position encoding: rows in the first half, columns in the second."""

import math

import pytest
import torch

from frozenseg_label.model.position_encoding import sine_position_encoding

CPU = torch.device("cpu")


def test_the_first_half_tells_rows_apart_and_the_second_columns() -> None:
    encoding = sine_position_encoding((3, 5), 8, CPU).view(3, 5, 8)
    assert torch.equal(encoding[1, 0, :4], encoding[1, 4, :4])
    assert torch.equal(encoding[0, 2, 4:], encoding[2, 2, 4:])
    assert not torch.equal(encoding[0, 0, :4], encoding[1, 0, :4])
    assert not torch.equal(encoding[0, 0, 4:], encoding[0, 1, 4:])


def test_sine_and_cosine_of_the_normalised_place_stand_side_by_side() -> None:
    encoding = sine_position_encoding((4, 1), 8, CPU)  # rows lie at 1/4, 2/4, 3/4 and 4/4 of 2 pi
    angle = 2 * math.pi / 4
    torch.testing.assert_close(encoding[0, 0].item(), math.sin(angle), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoding[1, 1].item(), math.cos(2 * angle), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoding[0, 2].item(), math.sin(angle / 100), atol=1e-5, rtol=0)


def test_the_last_row_of_any_grid_is_the_same_place() -> None:
    small = sine_position_encoding((2, 2), 16, CPU)[-1]
    large = sine_position_encoding((50, 70), 16, CPU)[-1]
    torch.testing.assert_close(small, large, atol=1e-5, rtol=0)


def test_channels_that_cannot_hold_two_coordinates_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        sine_position_encoding((2, 2), 6, CPU)
