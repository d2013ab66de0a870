"""Strokes are separated from the screen's blur: what nobody painted on stays as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from frozenseg_label.review.corrections.brush import fuse_stroke
from frozenseg_label.review.corrections.regions import Mask, Region, Window

HEIGHT, WIDTH = 240, 320


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.asarray(np.hypot(columns - x, rows - y) < radius)


def original(seed: int) -> Mask:
    """Return a wobbly blob with a thin line and a small hole, as segments have."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for _ in range(4):
        mask |= disc(rng.uniform(110, 210), rng.uniform(80, 160), rng.uniform(15, 45))
    mask[200:202, 60:260] = True
    mask &= ~disc(rng.uniform(130, 190), rng.uniform(100, 140), 3)
    return mask


def as_the_app_writes(
    mask: Mask, pixel: float, shift: float
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Return mask and box at screen resolution: nearest sample, box snapped to screen pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0] / pixel), int(rows[0] / pixel)
    width = int(np.ceil((columns[-1] + 1) / pixel)) - left
    height = int(np.ceil((rows[-1] + 1) / pixel)) - top
    y = np.clip(((np.arange(height) + top + 0.5) * pixel).astype(int), 0, HEIGHT - 1)
    x = np.clip(((np.arange(width) + left + 0.5) * pixel).astype(int), 0, WIDTH - 1)
    box = left * pixel + shift, top * pixel + shift, width * pixel, height * pixel
    return mask[np.ix_(y, x)].astype(np.uint8), box


def fused(before: Mask, after: Mask, pixel: float, shift: float = 0.0) -> Mask:
    region = Region(1, "cat", *as_the_app_writes(after, pixel, shift))
    whole = Window(0, 0, HEIGHT, WIDTH)
    return fuse_stroke(before, region.within(whole), region.screen_pixel)


PIXELS = st.floats(0.4, 4.0)
SEEDS = st.integers(0, 10_000)


@settings(max_examples=60, deadline=None)
@given(SEEDS, PIXELS, st.floats(-0.4, 0.4))
def test_a_mask_that_was_only_written_anew_stays_as_it_was(
    seed: int, pixel: float, shift: float
) -> None:
    mask = original(seed)
    assert np.array_equal(fused(mask, mask, pixel, shift), mask)


@settings(max_examples=60, deadline=None)
@given(SEEDS, PIXELS, st.booleans(), st.floats(10, 310), st.floats(10, 230))
def test_no_pixel_farther_than_one_screen_pixel_from_a_stroke_changes(
    seed: int, pixel: float, adds: bool, x: float, y: float
) -> None:
    before, stroke = original(seed), disc(x, y, 4 * max(pixel, 1))
    after = before | stroke if adds else before & ~stroke
    result = fused(before, after, pixel)
    far = distance_transform_edt(~stroke) > max(pixel, 1) + 1.5
    assert np.array_equal(result[far], before[far])


@pytest.mark.parametrize("pixel", [0.6, 1.0, 2.5, 4.0])
def test_what_was_painted_and_rubbed_out_arrives(pixel: float) -> None:
    before, stroke = original(1), disc(250, 120, 20)
    painted = fused(before, before | stroke, pixel)
    wrong = painted != (before | stroke)
    assert wrong.sum() <= 2 * np.pi * 20 * pixel  # at most a rim of one screen pixel
    hole = disc(160, 120, 14)
    rubbed = fused(before, before & ~hole, pixel)
    assert (rubbed & hole).sum() <= 2 * np.pi * 14 * pixel
    assert not (rubbed & ~before).any()


def test_a_thin_leg_that_was_rubbed_out_is_gone_though_it_is_thin() -> None:
    before = original(1)
    before[195:205, 60:260] = True
    after = before.copy()
    after[195:205, 60:120] = False
    result = fused(before, after, 2.5)
    assert not result[195:205, 62:116].any()
    assert np.array_equal(result[:, 124:], before[:, 124:])


@pytest.mark.parametrize("pixel", [1.0, 2.5, 4.0])
@pytest.mark.parametrize("width", [1, 2])  # of the screen's pixels
def test_a_thin_line_that_was_rubbed_out_arrives(pixel: float, width: int) -> None:
    before = disc(160, 120, 60)
    line = np.zeros_like(before)
    line[120 : 120 + round(width * pixel), 150:170] = True
    after = before & ~line

    result = fused(before, after, pixel, shift=0.3)
    assert (before & ~result & line).sum() >= 0.75 * line.sum()
    far = distance_transform_edt(~line) > pixel + 1.5
    assert np.array_equal(result[far], before[far])


@pytest.mark.parametrize("pixel", [1.0, 2.5, 4.0])
def test_a_stroke_that_closes_a_ring_leaves_the_ring_s_inside_as_it_was(pixel: float) -> None:
    ring = disc(160, 120, 80) & ~disc(160, 120, 60)
    gap = disc(230, 120, 20)
    before = ring & ~gap
    stroke = ring & gap
    result = fused(before, before | stroke, pixel, shift=0.3)
    far = distance_transform_edt(~stroke) > pixel + 1.5
    assert np.array_equal(result[far], before[far])
    assert (result & stroke).sum() > 0.9 * stroke.sum()


def test_a_window_ends_where_the_image_ends() -> None:
    assert Window.around((10, 20), (18.5, -1, 5, 3), margin=1) == Window(0, 17, 3, 20)
