"""Large pictures in a run: seen in tiles where that is asked for, and else told as thumbnails."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label import annotate, write_demo
from frozenseg_label.annotation.dry_run import estimate
from frozenseg_label.annotation.label_images import label_images
from frozenseg_label.errors import FrozenSegLabelError, RunError
from frozenseg_label.images import ImageRecord, find_images
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.tiling import Tiling
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder


@pytest.fixture
def mixed(records: list[ImageRecord]) -> list[ImageRecord]:
    """Five small pictures, and one that the tiny model shrinks five times."""
    folder = records[0].path.parent
    pixels = np.random.default_rng(0).integers(0, 256, (320, 330, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "large.png")
    return find_images([folder])


def label(records: Sequence[ImageRecord], predictor: Predictor, run: RunFolder) -> None:
    label_images(
        records, predictor, run, batch_size=2, max_pixels=None, on_finished=lambda error: None
    )


def thumbnails(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if "thumbnails" in message]


def test_a_large_picture_is_labelled_in_tiles_among_small_ones(
    tmp_path: Path,
    mixed: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tiled = replace(predictor, tiling=Tiling("auto"))
    with RunFolder.open_or_create(tmp_path / "whole", manifest, semantic=True) as run:
        label(mixed, predictor, run)
        small = {record.relative: run.read_map(record.relative) for record in mixed}
    with RunFolder.open_or_create(tmp_path / "tiles", manifest, semantic=True) as run:
        caplog.clear()
        label(mixed, tiled, run)
        assert not thumbnails(caplog)
        assert run.finish().labelled == len(mixed)
        for record in mixed[:-1]:
            np.testing.assert_array_equal(
                run.read_map(record.relative).ids, small[record.relative].ids
            )
        large = run.read_map("large.png")
        large.check()
        assert large.ids.shape == (320, 330)
        assert (large.ids != small["large.png"].ids).any()
        (entry,) = [entry for entry in run.entries() if entry.image == "large.png"]
        kept = run.read_embeddings(entry)
        assert kept is not None
        assert kept.segments.keys() == {segment.id for segment in large.segments}
    with Image.open(tmp_path / "tiles" / "semantic" / "large.png") as semantic:
        assert semantic.size == (330, 320)


@pytest.mark.parametrize("tiling", [None, Tiling("auto")])
def test_a_jpeg_that_is_decoded_small_has_labels_of_its_whole_size(
    tmp_path: Path, predictor: Predictor, manifest: Manifest, tiling: Tiling | None
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    (tmp_path / "large").mkdir()
    Image.fromarray(pixels).save(tmp_path / "large" / "large.jpg")
    records = find_images([tmp_path / "large"])
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label(records, replace(predictor, tiling=tiling), run)
        assert run.read_map("large.jpg").ids.shape == (300, 400)


def test_thumbnails_are_counted_once_with_the_remedy(
    tmp_path: Path,
    mixed: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label(mixed, predictor, run)
    (told,) = thumbnails(caplog)
    assert told.startswith("1 images")
    assert "--tile auto" in told
    caplog.clear()
    estimate(mixed[-1:], predictor, tmp_path / "out", None)
    (told,) = thumbnails(caplog)
    assert "--tile auto" in told


def test_other_tiles_on_the_same_run_need_update(tmp_path: Path) -> None:
    write_demo(tmp_path / "pictures", count=1, size=64)
    pictures, labels = tmp_path / "pictures", tmp_path / "labels"
    annotate(pictures, labels, "stickers", tile=64, overlap=16)
    assert annotate(pictures, labels, "stickers", tile=64, overlap=16).skipped == 1
    with pytest.raises(RunError, match=r"overlap \(16 there, 32 now\)"):
        annotate(pictures, labels, "stickers", tile=64, overlap=32)
    with pytest.raises(RunError, match=r"tile \(64 there, None now\)"):
        annotate(pictures, labels, "stickers")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"tile": 64, "keep_proposals": True}, "leave out --keep-proposals, or --tile"),
        ({"overlap": 16}, "give --tile, too"),
        ({"tile": 64, "overlap": 40}, "half of a tile, 32, got 40"),
    ],
)
def test_what_does_not_go_with_tiles_is_told_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, int], told: str
) -> None:
    with pytest.raises(FrozenSegLabelError, match=told):
        annotate(tmp_path, tmp_path / "out", "stickers", **arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
