"""Scenes of the nano world."""

import numpy as np
import pytest

from frozenseg_label.demo.scenes import Cutouts, Textures, draw_scene

RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)


@pytest.fixture
def squares() -> Cutouts:
    """Two plain square stickers whose colours tell them apart."""
    return {
        "red square": [np.full((40, 40, 4), (*RED, 255), dtype=np.uint8)],
        "green square": [np.full((40, 40, 4), (*GREEN, 255), dtype=np.uint8)],
    }


@pytest.fixture
def blue_ground() -> Textures:
    return {"blue": [np.full((512, 512, 3), BLUE, dtype=np.uint8)]}


def test_the_same_seed_draws_the_same_scene_and_another_seed_another(
    squares: Cutouts, blue_ground: Textures
) -> None:
    first, again, other = (
        draw_scene(np.random.default_rng(seed), squares, blue_ground, 96) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.ids, again.ids)
    assert first.segments == again.segments
    assert not np.array_equal(first.image, other.image)


def test_every_id_has_one_segment_and_every_segment_is_visible(
    squares: Cutouts, blue_ground: Textures
) -> None:
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), squares, blue_ground, 96)
        listed = [segment.id for segment in scene.segments]
        assert listed == list(range(1, len(listed) + 1))
        assert set(np.unique(scene.ids)) - {0} == set(listed)


def test_the_truth_says_what_the_pixels_show(squares: Cutouts, blue_ground: Textures) -> None:
    strongest = {"red square": 0, "green square": 1, "blue": 2}
    for seed in range(10):
        scene = draw_scene(np.random.default_rng(seed), squares, blue_ground, 128)
        for segment in scene.segments:
            pixels = scene.image[scene.ids == segment.id]  # [N, 3]
            shown = pixels.argmax(axis=1) == strongest[segment.name]
            assert shown.mean() > 0.97, (seed, segment)  # soft edges are mixed


def test_a_later_sticker_hides_an_earlier_one(blue_ground: Textures) -> None:
    """Things of full size on one spot: of most of them nothing is left, so they have no segment."""
    large = {"large": [np.full((40, 40, 4), 255, dtype=np.uint8)]}
    scene = draw_scene(
        np.random.default_rng(0), large, blue_ground, 64, things=(12, 12), side=(0.95, 1.0)
    )
    assert sum(segment.is_thing for segment in scene.segments) < 6


def test_each_stuff_is_one_segment(squares: Cutouts) -> None:
    sheets = np.random.default_rng(0).integers(0, 255, (3, 512, 512, 3), dtype=np.uint8)
    textures = {name: [sheet] for name, sheet in zip("abc", sheets, strict=True)}
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), squares, textures, 64)
        stuff = [segment.name for segment in scene.segments if not segment.is_thing]
        assert len(stuff) == len(set(stuff))
