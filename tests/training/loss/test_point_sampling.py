"""Points: where they are read and which are chosen."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.training.loss.point_sampling import (
    choose_uncertain_points,
    known_points,
    sample_at_points,
)

CORNERS = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def read(maps: Tensor, x: float, y: float) -> float:
    return sample_at_points(maps[None, None], torch.tensor([[[x, y]]])).item()


def test_a_point_on_a_pixel_centre_reads_that_pixel() -> None:
    assert read(CORNERS, 0.25, 0.25) == 1.0
    assert read(CORNERS, 0.75, 0.25) == 2.0
    assert read(CORNERS, 0.25, 0.75) == 3.0


def test_a_point_between_pixels_reads_their_blend() -> None:
    assert read(CORNERS, 0.5, 0.5) == 2.5


def test_beyond_the_border_there_is_zero() -> None:
    assert read(CORNERS, 0.0, 0.25) == 0.5  # half a pixel outside the first centre
    assert read(CORNERS, 1.0, 1.0) == 1.0


def test_the_least_sure_candidates_are_kept_and_the_rest_lies_anywhere() -> None:
    logits = torch.full((1, 1, 100), 9.0)
    logits[..., 40:60] = 0.1  # in doubt between x = 0.4 and 0.6 only
    generator = torch.Generator().manual_seed(0)
    draws: list[Tensor] = []

    def draw(shape: tuple[int, ...]) -> Tensor:
        draws.append(torch.rand(shape, generator=generator))
        return draws[-1]

    points = choose_uncertain_points(logits, draw, count=40, oversample=10.0, importance=0.75)

    assert points.shape == (1, 40, 2)
    x = points[0, :30, 0]
    assert ((x > 0.39) & (x < 0.61)).all()
    assert torch.equal(points[:, 30:], draws[1])


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(0, 2**32 - 1))
def test_points_are_moved_into_known_pixels_and_nowhere_else(
    known: NDArray[np.bool_], seed: int
) -> None:
    assume(known.any())
    points = torch.rand(3, 40, 2, generator=torch.Generator().manual_seed(seed))

    moved = known_points(points, torch.from_numpy(known))

    assert moved.shape == points.shape
    assert moved.dtype == points.dtype
    assert known[pixels_of(moved, known.shape)].all()


def test_moved_points_are_uniform_over_the_known_pixels() -> None:
    known = torch.tensor([[True, False, False], [False, True, True]])
    points = torch.rand(30_000, 2, generator=torch.Generator().manual_seed(0))

    moved = known_points(points, known)

    rows, columns = pixels_of(moved, (2, 3))
    shares = np.bincount(3 * rows + columns, minlength=6) / len(points)
    assert shares.tolist() == pytest.approx([1 / 3, 0, 0, 0, 1 / 3, 1 / 3], abs=0.01)
    inside = (moved * torch.tensor([3.0, 2.0])).frac()  # where in its pixel each point lies
    assert inside.mean(dim=0).tolist() == pytest.approx([0.5, 0.5], abs=0.01)


def test_where_all_is_known_points_reach_every_place() -> None:
    corners = torch.tensor([[0.0, 0.0], [0.999, 0.999]])
    moved = known_points(corners, torch.ones(4, 4, dtype=torch.bool))
    torch.testing.assert_close(moved[0], torch.zeros(2))
    assert (moved[1] > 0.75).all()
    assert (moved[1] < 1.0).all()


def pixels_of(points: Tensor, size: tuple[int, int]) -> tuple[NDArray[np.int64], ...]:
    """Return row and column of the pixel in which each point [..., 2] lies."""
    columns, rows = (points.double() * torch.tensor([size[1], size[0]])).long().unbind(dim=-1)
    return rows.numpy(), columns.numpy()
