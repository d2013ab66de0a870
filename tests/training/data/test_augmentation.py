"""Image and labels change together, and random changes depend only on the seed."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from frozenseg_label.training.data.augmentation import (
    GREY,
    Augmentation,
    Window,
    jitter_colors,
    resize_window,
)

OBJECT = np.array([250, 20, 70], dtype=np.uint8)
GROUND = np.array([10, 200, 120], dtype=np.uint8)

sides = st.integers(4, 60)
scales = st.floats(0.2, 3.0)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def scenes(draw: st.DrawFn) -> NDArray[np.int32]:
    """Draw ids: an object of a few boxes (id 1) on a ground of 0."""
    height, width = draw(sides), draw(sides)
    ids = np.zeros((height, width), dtype=np.int32)
    for _ in range(draw(st.integers(1, 3))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        ids[top : top + draw(sides), left : left + draw(sides)] = 1
    return ids


def paint(ids: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.where(ids[..., None] == 1, OBJECT, GROUND)


def draw_noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def count_up(height: int, width: int) -> NDArray[np.int32]:
    """Every pixel has its own id."""
    return np.arange(height * width, dtype=np.int32).reshape(height, width)


@settings(deadline=None)
@given(scenes(), scales, st.sampled_from([16, 32, 50]), st.sampled_from([0.0, 0.5, 1.0]), seeds)
def test_what_covers_an_object_before_covers_it_after(
    ids: NDArray[np.int32], scale: float, crop_size: int, flip: float, seed: int
) -> None:
    augment = Augmentation(flip=flip, scale=(scale, scale), crop_size=crop_size, fill=-1)
    picture, after = augment(paint(ids), ids, np.random.default_rng(seed))
    # Pixels nearer to an edge than the filter reaches may be blurred: a pixel of the larger of
    # the two images. Axes are rounded to whole pixels each, so each has its own ratio.
    reach = [
        math.ceil(max(1.0, side / max(1, round(side * scale * crop_size / max(ids.shape)))))
        for side in ids.shape
    ]
    size = [2 * r + 1 for r in reach]
    rim = minimum_filter(ids, size, mode="nearest") != maximum_filter(ids, size, mode="nearest")
    _, rim_after = augment(paint(ids), rim.astype(np.int32), np.random.default_rng(seed))

    assert set(np.unique(after)) <= {-1, *np.unique(ids)}
    assert (picture[(after == 1) & (rim_after == 0)] == OBJECT).all()
    assert (picture[(after == 0) & (rim_after == 0)] == GROUND).all()
    assert (picture[after == -1] == GREY).all()


@settings(deadline=None)
@given(st.integers(40, 80), st.floats(0.2, 1.0), st.booleans(), seeds)
def test_half_covered_pixels_are_the_edge_of_the_object_to_a_pixel(
    side: int, scale: float, mirrored: bool, seed: int
) -> None:
    ids = np.zeros((side, side), dtype=np.int32)
    ids[side // 4 : side // 4 * 3, side // 4 : side // 4 * 3] = 1
    augment = Augmentation(flip=float(mirrored), scale=(scale, scale), crop_size=64, fill=-1)
    picture, after = augment(paint(ids), ids, np.random.default_rng(seed))
    is_object = picture[..., 0].astype(int) > (int(OBJECT[0]) + int(GROUND[0])) / 2
    edge = minimum_filter(after, 3) != maximum_filter(after, 3)
    assert ((is_object == (after == 1)) | edge | (after == -1)).all()


@settings(deadline=None)
@given(scenes(), st.floats(0.3, 1.0), seeds)
def test_an_object_keeps_its_share_of_an_image_that_is_seen_whole(
    ids: NDArray[np.int32], scale: float, seed: int
) -> None:
    augment = Augmentation(scale=(scale, scale), crop_size=64, fill=-1)
    _, after = augment(paint(ids), ids, np.random.default_rng(seed))
    inside = after[after >= 0]
    height = int((after >= 0).any(axis=1).sum())
    edges = (ids[:, 1:] != ids[:, :-1]).any(axis=0).sum(), (ids[1:] != ids[:-1]).any(axis=1).sum()
    # Each edge may move by less than a pixel after resizing.
    rounding = edges[0] / (inside.size / height) + edges[1] / height
    assert abs(inside.mean() - ids.mean()) <= rounding


def test_over_many_draws_every_part_of_an_image_is_seen_and_half_of_them_are_mirrored() -> None:
    ids = np.array([[0, 1], [2, 3]], dtype=np.int32).repeat(20, axis=0).repeat(20, axis=1)
    augment = Augmentation(scale=(2.0, 2.0), crop_size=40)
    shares = np.zeros(4)
    mirrored = 0
    for seed in range(400):
        _, after = augment(paint(ids), ids, np.random.default_rng(seed))
        shares += np.bincount(after.ravel(), minlength=4) / after.size / 400
        straight = np.random.default_rng(seed)
        _, unmirrored = Augmentation(flip=0, scale=(2.0, 2.0), crop_size=40)(
            paint(ids), ids, straight
        )
        mirrored += int((after == unmirrored[:, ::-1]).all() and (after != unmirrored).any())
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
    assert 150 < mirrored < 250


def test_mirroring_twice_is_the_identity() -> None:
    image, ids = draw_noise(40, 40), count_up(40, 40)
    mirror = Augmentation(flip=1, scale=(1.0, 1.0), crop_size=40)
    once = mirror(image, ids, np.random.default_rng(1))
    assert (once[0] == image[:, ::-1]).all()
    assert (once[1] == ids[:, ::-1]).all()
    twice = mirror(*once, np.random.default_rng(2))
    assert (twice[0] == image).all()
    assert (twice[1] == ids).all()


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 8.0), seeds)
def test_the_square_has_its_size_whatever_the_image(
    height: int, width: int, scale: float, seed: int
) -> None:
    augment = Augmentation(scale=(scale, scale), crop_size=48, color_jitter=1)
    picture, ids = augment(
        np.zeros((height, width, 3), np.uint8),
        np.ones((height, width), np.int32),
        np.random.default_rng(seed),
    )
    assert picture.shape == (48, 48, 3)
    assert ids.shape == (48, 48)
    assert (picture.dtype, ids.dtype) == (np.dtype(np.uint8), np.dtype(np.int32))
    covered = ids == 1
    ratio = scale * 48 / max(height, width)
    for axis, side in ((1, height), (0, width)):
        expected = min(48, max(1, round(side * ratio)))
        assert covered.any(axis=axis).sum() == expected
    assert covered.sum() == covered.any(axis=1).sum() * covered.any(axis=0).sum()
    assert covered[0, 0]  # padding is only at the right and at the bottom


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_a_label_is_read_where_the_centre_of_the_new_pixel_lies(pixels: int, full: int) -> None:
    where = Window(full, 0, full, pixels).nearest()
    resized = Image.fromarray(np.arange(pixels, dtype=np.int32)[None]).resize(
        (full, 1), Image.Resampling.NEAREST
    )
    centres = [Fraction(2 * i + 1, 2) * pixels / full for i in range(full)]
    # If a centre is on the border of two pixels, both are right.
    clear = np.array([centre.denominator > 1 for centre in centres])
    assert where.tolist() == [math.floor(centre) for centre in centres]
    assert (where == np.asarray(resized)[0])[clear].all()


@pytest.mark.parametrize("size", [(48, 64), (400, 300), (33, 517)])
@pytest.mark.parametrize("longest", [20, 64, 150, 900])
def test_a_window_is_what_the_whole_image_would_give_there(
    size: tuple[int, int], longest: int
) -> None:
    image = draw_noise(*size)
    full = [max(1, round(side * longest / max(size))) for side in size]
    whole = np.asarray(
        Image.fromarray(image).resize((full[1], full[0]), Image.Resampling.BILINEAR), dtype=int
    )
    rng = np.random.default_rng(longest)
    differences = []
    for _ in range(20):
        rows, columns = (
            Window(f, start := int(rng.integers(f)), int(rng.integers(1, f - start + 1)), side)
            for f, side in zip(full, size, strict=True)
        )
        seen = np.asarray(resize_window(image, rows, columns), dtype=int)
        there = whole[
            rows.start : rows.start + rows.length, columns.start : columns.start + columns.length
        ]
        differences.append(np.abs(seen - there).ravel())
    # Pillow keeps the borders of the window as float32 and rounds twice, after either axis; on
    # noise, which is the worst case, a rounding falls the other way now and then.
    found = np.concatenate(differences)
    assert found.max() <= 2
    assert (found > 1).mean() < 1e-3
    assert found.mean() < 0.15


def test_the_same_seed_gives_the_same_and_another_seed_something_else() -> None:
    image, ids = draw_noise(30, 50), count_up(30, 50)
    augment = Augmentation(crop_size=64, color_jitter=0.5)
    first, again, other = (augment(image, ids, np.random.default_rng(s)) for s in (3, 3, 4))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[1] != other[1]).any()


def test_as_many_numbers_are_drawn_whatever_the_image_and_the_settings() -> None:
    following = set()
    for size in ((5, 5), (90, 20)):
        for augment in (Augmentation(crop_size=32), Augmentation(0, (1, 1), 8, 1.0)):
            rng = np.random.default_rng(0)
            augment(draw_noise(*size), count_up(*size), rng)
            following.add(rng.random())
    assert len(following) == 1


def test_colours_change_on_the_image_alone_and_not_at_strength_0() -> None:
    image, ids = draw_noise(40, 40), count_up(40, 40)
    plain, faint, strong = (
        Augmentation(crop_size=64, scale=(0.8, 0.8), color_jitter=strength)(
            image, ids, np.random.default_rng(5)
        )
        for strength in (0.0, 0.1, 1.0)
    )
    by_faint, by_strong = (
        np.abs(changed[0].astype(int) - plain[0]).mean() for changed in (faint, strong)
    )
    assert 0 < by_faint < by_strong
    assert (plain[1] == strong[1]).all()
    assert (strong[0][-1] == GREY).all()  # padding does not change

    exact = Augmentation(flip=0, scale=(1.0, 1.0), crop_size=40)(
        image, ids, np.random.default_rng(0)
    )
    assert (exact[0] == image).all()


def test_each_of_the_four_changes_of_colour_is_what_it_is_called() -> None:
    image = np.array([[[100, 100, 100], [140, 100, 60]], [[60, 90, 110], [120, 80, 100]]], np.uint8)
    luma = np.array([0.299, 0.587, 0.114])

    def change(index: int, by: float) -> NDArray[np.float64]:
        changes = np.zeros(4)
        changes[index] = by
        return np.asarray(jitter_colors(Image.fromarray(image), changes), dtype=np.float64)

    assert (change(0, 0.0) == image).all()
    np.testing.assert_allclose(change(0, 1.0), np.round(image * 1.5), atol=1)
    mean = (image @ luma).mean()
    np.testing.assert_allclose(change(1, -1.0), (image - mean) * 0.5 + mean, atol=1)
    grey = (image @ luma)[..., None]
    np.testing.assert_allclose(change(2, -1.0), (image - grey) * 0.5 + grey, atol=1)
    turned = change(3, 1.0)
    np.testing.assert_allclose(turned @ luma, image @ luma, atol=1)
    assert np.abs(turned[0, 0] - 100).max() <= 1  # grey has no hue
    assert np.abs(turned[0, 1] - image[0, 1]).max() > 10


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": (2.0, 1.0)}, r"scale .* \(2.0, 1.0\)"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"crop_size": 0}, "crop_size .* 0"),
        ({"flip": 1.5}, "flip .* 1.5"),
        ({"color_jitter": -0.1}, "color_jitter .* -0.1"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**wrong)  # type: ignore[arg-type]


def test_an_image_and_ids_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 5\) but ids are \(5, 4\)"):
        Augmentation()(draw_noise(4, 5), count_up(5, 4), np.random.default_rng(0))
