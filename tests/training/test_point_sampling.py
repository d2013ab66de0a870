"""Points: where they are read and which are chosen."""

import torch
from torch import Tensor

from frozenseg_label.training.point_sampling import choose_uncertain_points, sample_at_points

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
