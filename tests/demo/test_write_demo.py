"""The demonstration images, and the shipped drawings that they are made of."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.demo.write_demo import (
    STYLES,
    Style,
    atlas_file,
    demonstration_cutouts,
    read_atlas,
    write_atlas,
    write_demo,
)
from frozenseg_label.formats.demo_picture import is_demo_picture
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.vocabulary_files import read_vocabulary


def test_images_and_their_truth_can_be_read_back(tmp_path: Path) -> None:
    paths = write_demo(tmp_path / "images", count=3, seed=5, truth=tmp_path / "truth", size=96)
    dataset = read_coco_panoptic(tmp_path / "truth" / "panoptic.json")
    assert len(dataset) == 3
    for path, (annotation, labels) in zip(paths, dataset, strict=True):
        labels.check()
        assert annotation.file_name == path.name
        assert labels.segments
        with Image.open(path) as image:
            assert image.size == (96, 96) == labels.ids.shape


def test_image_number_i_of_a_seed_is_the_first_of_the_seed_plus_i(tmp_path: Path) -> None:
    _, second = write_demo(tmp_path / "a", count=2, seed=7, size=64)
    (first,) = write_demo(tmp_path / "b", count=1, seed=8, size=64)
    assert np.array_equal(np.asarray(Image.open(second)), np.asarray(Image.open(first)))


def test_a_killed_demo_leaves_nothing_that_the_next_one_does_not_remove(tmp_path: Path) -> None:
    images, truth = tmp_path / "images", tmp_path / "truth"
    program = (
        "import os, signal; from pathlib import Path\n"
        "from frozenseg_label.files import atomic_path\n"
        "writing = [atomic_path(Path(folder) / 'x.png') for folder in {folders}]\n"
        "for file in writing:\n"
        "    file.__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folders = [str(images), str(truth), str(truth / "panoptic")]
    code = program.replace("{folders}", repr(folders))
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob(".frozenseg-*.tmp"))) == 3
    write_demo(images, count=1, truth=truth, size=64)
    assert not list(tmp_path.rglob(".frozenseg-*.tmp"))


@pytest.mark.parametrize(("count", "size"), [(0, 64), (1, 8)])
def test_nothing_to_draw_is_refused(tmp_path: Path, count: int, size: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        write_demo(tmp_path, count=count, size=size)


def test_the_two_styles_draw_different_images(tmp_path: Path) -> None:
    (trained,) = write_demo(tmp_path / "a", count=1, size=64)
    (unseen,) = write_demo(tmp_path / "b", count=1, size=64, style="unseen")
    assert not np.array_equal(np.asarray(Image.open(trained)), np.asarray(Image.open(unseen)))
    with pytest.raises(ValueError, match="style must be one of trained, unseen, got 'noto'"):
        write_demo(tmp_path, style="noto")  # type: ignore[arg-type]


def test_the_images_say_where_they_come_from(tmp_path: Path) -> None:
    (path,) = write_demo(tmp_path, count=1, size=64)
    assert is_demo_picture(path)
    Image.open(path).save(tmp_path / "copy.png")
    assert not is_demo_picture(tmp_path / "copy.png")
    assert not is_demo_picture(tmp_path / "no-such.png")


@pytest.mark.parametrize("style", STYLES)
def test_the_shipped_atlas_has_a_drawing_of_every_thing_and_is_small(style: Style) -> None:
    things = {c.name for c in read_vocabulary("stickers").categories if c.is_thing}
    cutouts = demonstration_cutouts(style)
    assert set(cutouts) == things
    assert all(drawing[..., 3].max() == 255 for drawn in cutouts.values() for drawing in drawn)
    assert atlas_file(style).stat().st_size <= 2_000_000


def test_drawings_survive_the_atlas(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = [(112, 60), (30, 112), (112, 112)] * 5
    drawn = [rng.integers(1, 255, (*shape, 4), dtype=np.uint8) for shape in shapes]
    write_atlas({"many": drawn[:14], "one": drawn[14:]}, "a test", tmp_path / "atlas.png")
    read = read_atlas(tmp_path / "atlas.png")
    assert [len(read["many"]), len(read["one"])] == [14, 1]
    for before, after in zip(drawn, [*read["many"], *read["one"]], strict=True):
        assert np.array_equal(before, after)
