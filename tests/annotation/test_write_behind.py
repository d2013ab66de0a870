"""Several threads pack label maps; what is on the disk is what one thread would write."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.annotation.label_images import label_images
from frozenseg_label.errors import ImageError
from frozenseg_label.images import ImageRecord, find_images
from frozenseg_label.inference.predictor import Prediction, Predictor
from frozenseg_label.inference.preprocess import PreparedImage
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    """Seven pictures; every third one is large, so that its labels are packed for longer."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(7):
        side = 64 if number % 3 else 400
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png", compress_level=0)
    return find_images([folder])


def label(
    records: Sequence[ImageRecord], predictor: Predictor, run: RunFolder
) -> list[ImageError | None]:
    told: list[ImageError | None] = []
    label_images(records, predictor, run, batch_size=1, max_pixels=None, on_finished=told.append)
    return told


def rows(run: RunFolder) -> list[Entry]:
    """Return the journal without what a clock said."""
    same = {"seconds": None, "time": None}
    return [entry.model_copy(update=same) for _, entry in run.history()]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


def test_the_run_folder_is_the_same_with_one_core_and_with_several(
    tmp_path: Path,
    records: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written, said = [], []
    for cores in (1, 4):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        out = tmp_path / f"{cores}"
        with RunFolder.open_or_create(out, manifest, formats=["class-png"]) as run:
            assert label(records, predictor, run) == [None] * len(records)
            said.append(rows(run))
            assert all(run.read_embeddings(entry) is not None for entry in said[-1])
        written.append(files(out))
    assert [entry.image for entry in said[0]] == [record.relative for record in records]
    assert said[0] == said[1]
    assert len(written[0]) == 3 * len(records)  # panoptic, semantic and class PNGs
    assert written[0] == written[1]


def test_an_image_that_cannot_be_written_fails_in_its_place(
    tmp_path: Path,
    records: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    (tmp_path / "out" / "panoptic" / "03.png").mkdir(parents=True)
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        told = label(records, predictor, run)
        said = rows(run)
        assert run.finish().labelled == len(records) - 1
    assert [number for number, error in enumerate(told) if error] == [3]
    assert "03.png: no label file can be named after it" in f"{told[3]}"
    assert [entry.image for entry in said] == [record.relative for record in records]
    assert [number for number, entry in enumerate(said) if entry.event == "failed"] == [3]


@dataclass(frozen=True)
class CountingPredictor(Predictor):
    """A predictor that counts its images; at the last one somebody presses Ctrl-C."""

    last: int | None = None
    finished: list[ImageError | None] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Note how many images are labelled and not written yet."""
        if len(self.seen) == self.last:
            raise KeyboardInterrupt
        self.seen.append(len(self.seen) - len(self.finished))
        return super().predict(images)


def test_few_maps_wait_to_be_written(
    tmp_path: Path,
    records: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    counting = CountingPredictor(**vars(predictor))
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label_images(
            records, counting, run,
            batch_size=1, max_pixels=None, on_finished=counting.finished.append,
        )  # fmt: skip
    assert max(counting.seen) <= 4


def test_what_was_labelled_before_ctrl_c_is_written(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    counting = CountingPredictor(**vars(predictor), last=3)
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        with pytest.raises(KeyboardInterrupt):
            label(records, counting, run)
        assert [entry.image for entry in rows(run)] == [record.relative for record in records[:3]]
