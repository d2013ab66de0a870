"""Rows of a resize equal those of the whole."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference.mask_tiles import (
    TILE_VALUES,
    TiledResize,
    masks_resize,
    row_tiles,
    single_image,
)
from frozenseg_label.inference.preprocess import Framing, Size
from frozenseg_label.model.proposals import ClassifiedMasks


def resize_whole(x: Tensor, size: Size) -> Tensor:
    return F.interpolate(x[None], size=size, mode="bilinear", align_corners=False)[0]


def in_tiles(resize: TiledResize, maps: Tensor, height: int) -> Tensor:
    tiles = []
    for start in range(0, resize.output_size[0], height):
        stop = min(start + height, resize.output_size[0])
        tiles.append(resize.rows(maps[:, resize.needed(start, stop)], start, stop))
    return torch.cat(tiles, dim=1)


@pytest.mark.parametrize("height", [1, 7, 1000])
@pytest.mark.parametrize("output", [(60, 90), (61, 40), (23, 19), (150, 201)])
def test_rows_equal_those_of_two_whole_resizes(height: int, output: Size) -> None:
    torch.manual_seed(0)
    masks = torch.randn(5, 16, 24)
    padded, image = (64, 96), (60, 90)
    whole = resize_whole(resize_whole(masks, padded)[:, :60, :90], output)
    tiles = in_tiles(masks_resize(masks, Framing(padded, image, output)), masks, height)
    torch.testing.assert_close(tiles, whole, atol=1e-6, rtol=1e-6)


def test_masks_of_sams_square_come_back_to_the_image() -> None:
    square = torch.full((2, 16, 16), -1.0)
    square[0, :8] = 1.0  # upper half of the padded image
    square[1, :, :4] = 1.0  # left quarter
    back = in_tiles(masks_resize(square, Framing((32, 96), (32, 80), (32, 80))), square, 32) > 0
    expected = torch.zeros(2, 32, 80, dtype=torch.bool)
    expected[0, :16] = True
    expected[1, :, :24] = True
    assert torch.equal(back, expected)


def test_rows_of_an_unchanged_size_are_the_input_itself() -> None:
    maps = torch.randn(2, 5, 6)
    resize = TiledResize((5, 6), [((5, 6), (5, 6))])
    assert torch.equal(in_tiles(resize, maps, 2), maps)


def test_few_rows_need_few_rows() -> None:
    resize = TiledResize((100, 10), [((400, 40), (400, 40))])
    assert resize.needed(200, 204) == slice(49, 52)


def test_no_maps_give_no_maps() -> None:
    resize = TiledResize((4, 6), [((8, 12), (7, 11)), ((20, 30), (20, 30))])
    assert resize.rows(torch.zeros(0, 4, 6), 0, 20).shape == (0, 20, 30)


def test_autocast_does_not_coarsen_the_masks() -> None:
    masks = torch.randn(2, 4, 6)
    resize = TiledResize((4, 6), [((16, 24), (16, 24))])
    with torch.autocast("cpu", torch.bfloat16):
        coarse = resize.rows(masks, 0, 16)
    assert torch.equal(coarse, resize.rows(masks, 0, 16))


def test_tiles_cover_every_row_once_and_stay_small() -> None:
    tiles = list(row_tiles(1000, TILE_VALUES // 30))
    assert [row for start, stop in tiles for row in range(start, stop)] == list(range(1000))
    assert max(stop - start for start, stop in tiles) <= 30


def test_a_row_larger_than_a_tile_is_a_tile() -> None:
    assert list(row_tiles(2, 10 * TILE_VALUES)) == [(0, 1), (1, 2)]


def test_masks_of_two_images_are_refused() -> None:
    two = ClassifiedMasks(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 5), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="one image, got 2"):
        single_image(two)
