"""The shipped drawings."""

from pathlib import Path

import numpy as np

from frozenseg_label.demo.atlas import ATLAS_FILE, demonstration_cutouts, write_atlas
from frozenseg_label.vocabulary_files import read_vocabulary


def test_the_shipped_atlas_has_a_drawing_of_every_thing_and_is_small() -> None:
    things = {c.name for c in read_vocabulary("stickers").categories if c.is_thing}
    cutouts = demonstration_cutouts()
    assert set(cutouts) == things
    assert all(drawing[..., 3].max() == 255 for drawn in cutouts.values() for drawing in drawn)
    assert ATLAS_FILE.stat().st_size <= 3_000_000


def test_drawings_survive_the_atlas(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = [(112, 60), (30, 112), (112, 112)] * 5
    drawn = [rng.integers(1, 255, (*shape, 4), dtype=np.uint8) for shape in shapes]
    write_atlas({"many": drawn[:14], "one": drawn[14:]}, "a test", tmp_path / "atlas.png")
    read = demonstration_cutouts(tmp_path / "atlas.png")
    assert [len(read["many"]), len(read["one"])] == [14, 1]
    for before, after in zip(drawn, [*read["many"], *read["one"]], strict=True):
        assert np.array_equal(before, after)
