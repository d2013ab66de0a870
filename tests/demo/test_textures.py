"""The stuff of the nano world."""

import numpy as np

from frozenseg_label.demo.textures import PAINTERS, draw_textures
from frozenseg_label.vocabulary_files import read_vocabulary


def test_every_stuff_of_the_nano_world_can_be_painted() -> None:
    stuff = {c.name for c in read_vocabulary("stickers").categories if not c.is_thing}
    assert stuff == set(PAINTERS)


def test_sheets_have_the_size_asked_for_and_differ() -> None:
    textures = draw_textures(np.random.default_rng(0), sheets_per_class=2, size=64)
    for name, (first, second) in textures.items():
        assert first.shape == second.shape == (64, 64, 3), name
        assert first.dtype == np.uint8, name
        assert not np.array_equal(first, second), name


def test_only_the_classes_asked_for_are_painted() -> None:
    assert list(draw_textures(np.random.default_rng(0), 1, 32, names=["snow"])) == ["snow"]
