"""Threads around the model change the time that a run takes, and nothing else."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from frozenseg_label.annotation.dry_run import estimate
from frozenseg_label.annotation.label_images import label_images
from frozenseg_label.errors import ImageError, RunError, TooLargeError, enough_memory
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.predictor import Prediction, Predictor
from frozenseg_label.inference.preprocess import PreparedImage
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from tests.annotation.conftest import label_by_hand


@dataclass(frozen=True)
class WatchedPredictor(Predictor):
    """A predictor that tells of each batch the padded shapes in it."""

    batches: list[list[tuple[int, int]]] | None = None

    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Note the shapes, then predict."""
        if self.batches is not None:
            self.batches.append([image.framing.padded for image in images])
        return super().predict(images)


def label(
    records: Sequence[ImageRecord],
    predictor: Predictor,
    run: RunFolder,
    batch_size: int = 1,
) -> list[ImageError | None]:
    """Label with the engine; returns what it told of each image."""
    told: list[ImageError | None] = []
    label_images(
        records,
        predictor,
        run,
        batch_size=batch_size,
        max_pixels=None,
        on_finished=told.append,
    )
    return told


def spoil(record: ImageRecord) -> None:
    record.path.write_bytes(record.path.read_bytes()[:100])


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


def journal(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def test_labels_are_those_of_one_image_after_the_other(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    with RunFolder.open_or_create(tmp_path / "plain", manifest) as run:
        for record in records:
            label_by_hand([record], predictor, run)
        plain = {entry.image: entry.labels for entry in run.entries()}
    with RunFolder.open_or_create(tmp_path / "overlapped", manifest) as run:
        assert label(records, predictor, run) == [None] * len(records)
        assert {entry.image: entry.labels for entry in run.entries()} == plain
    expected = files(tmp_path / "plain")
    assert len(expected) == 2 * len(records)  # panoptic and semantic
    assert files(tmp_path / "overlapped") == expected


def test_batches_of_one_shape_equal_the_same_batches_by_hand(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    wide, tall = [records[i] for i in (0, 2)], [records[i] for i in (1, 4)]
    with RunFolder.open_or_create(tmp_path / "plain", manifest) as run:
        for batch in (wide, tall, [records[3]]):
            label_by_hand(batch, predictor, run)
    with RunFolder.open_or_create(tmp_path / "overlapped", manifest) as run:
        label(records, predictor, run, batch_size=2)
    assert files(tmp_path / "overlapped") == files(tmp_path / "plain")


def test_a_batch_holds_one_padded_shape_whatever_the_order(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    batches: list[list[tuple[int, int]]] = []
    watched = WatchedPredictor(**vars(predictor), batches=batches)
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label(records[::-1], watched, run, batch_size=2)
        assert {entry.image for entry in run.entries()} == {r.relative for r in records}
    assert all(len(set(batch)) == 1 for batch in batches)
    assert sorted(len(batch) for batch in batches) == [1, 2, 2]


def test_an_unreadable_image_in_the_middle_fails_alone(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    spoil(records[2])
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        errors = [error for error in label(records, predictor, run, batch_size=2) if error]
        assert run.finish().labelled == len(records) - 1
    assert len(errors) == 1
    assert str(records[2].path) in str(errors[0])
    failed = [row["image"] for row in journal(tmp_path / "out") if row["event"] == "failed"]
    assert failed == ["c.png"]


BIG = (128, 192)  # padded like the wide pictures, once it is as small as they are


@dataclass(frozen=True)
class GreedyPredictor(Predictor):
    """A predictor that needs more memory for a big picture than any machine has."""

    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Ask for the memory, then predict."""
        if any(image.framing.original == BIG for image in images):
            torch.empty(2**50)
        return super().predict(images)


@dataclass(frozen=True)
class OverflowingPredictor(Predictor):
    """A predictor for which a big picture overflows."""

    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Predict the pictures, a big one as what is no number."""
        pixels = [i.pixels * (np.nan if i.framing.original == BIG else 1.0) for i in images]
        return super().predict(
            [replace(image, pixels=own) for image, own in zip(images, pixels, strict=True)]
        )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (GreedyPredictor, "192 x 128 pixels need more memory than cpu has left; scale the image"),
        (OverflowingPredictor, "no number .* --precision fp32"),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_an_image_that_asks_too_much_of_the_model_fails_alone(
    tmp_path: Path,
    records: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    kind: type[Predictor],
    told: str,
    batch_size: int,
) -> None:
    Image.new("RGB", BIG[::-1], (200, 30, 90)).save(records[2].path)
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        errors = label(records, kind(**vars(predictor)), run, batch_size)
        assert run.finish().labelled == len(records) - 1
    [error] = [error for error in errors if error]
    assert re.search(rf"c\.png: .*{told}", f"{error}")
    assert error.__context__ is None  # it keeps no tensor alive
    [row] = [row for row in journal(tmp_path / "out") if row["event"] == "failed"]
    assert (row["image"], row["message"]) == ("c.png", f"{error}")


@dataclass(frozen=True)
class CrampedPredictor(Predictor):
    """A predictor with memory for two pictures; it counts how many are given to it at once."""

    given: list[int] = field(default_factory=list)

    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Ask for too much memory where there are more than two."""
        self.given.append(len(images))
        if len(images) > 2:
            torch.empty(2**50)
        return super().predict(images)


def test_a_batch_too_large_for_the_memory_is_halved_and_so_are_later_ones(
    tmp_path: Path,
    records: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for record in records:
        Image.new("RGB", (96, 64), (200, 30, 90)).save(record.path)
    cramped = CrampedPredictor(**vars(predictor))
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        errors = label(records, cramped, run, batch_size=4)
        assert run.finish().labelled == len(records)
    assert not any(errors)
    assert cramped.given[:3] == [4, 2, 2]
    assert max(cramped.given[1:]) == 2
    [message] = caplog.messages
    assert "at most 2 go through the model together from now on (--batch-size 2)" in message


@pytest.mark.parametrize(
    "told",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_every_way_to_say_that_memory_ran_out_is_understood(told: Exception) -> None:
    with (
        pytest.raises(TooLargeError, match="scale the image"),
        enough_memory(Path("a.png"), "2 x 2 pixels"),
    ):
        raise told


def test_a_dry_run_passes_over_an_image_that_asks_too_much(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    Image.new("RGB", BIG[::-1]).save(records[0].path)
    assert estimate(records, GreedyPredictor(**vars(predictor)), tmp_path, None).seconds > 0


def test_pictures_of_deep_grey_are_told_in_one_line(
    tmp_path: Path,
    records: list[ImageRecord],
    predictor: Predictor,
    manifest: Manifest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for record in records[:3]:
        Image.fromarray(np.full((64, 96), 4095, np.uint16)).save(record.path)
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label(records, predictor, run, batch_size=2)
    [message] = caplog.messages
    assert message.startswith("3 pictures have grey levels of more than 8 bits")


def test_unreadable_images_are_told_before_any_can_be_read(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    for record in records[:4]:
        spoil(record)
    batches: list[list[tuple[int, int]]] = []
    watched = WatchedPredictor(**vars(predictor), batches=batches)
    told_before_the_model: list[ImageError | None] = []

    def on_finished(error: ImageError | None) -> None:
        if not batches:
            told_before_the_model.append(error)

    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label_images(records, watched, run, batch_size=1, max_pixels=None, on_finished=on_finished)
    assert len(told_before_the_model) >= 2  # two batches at most wait


@contextmanager
def no_room_for_files() -> Iterator[None]:
    """Let the system refuse this program every file of more than a few bytes."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_no_file_can_be_written_the_run_stops(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        with no_room_for_files(), pytest.raises(RunError, match="cannot be written"):
            label(records * 10, predictor, run)
        assert list(run.entries()) == []


def test_whoever_is_told_may_stop_the_run(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    def refuse(error: ImageError | None) -> None:
        raise RunError("enough")

    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        with pytest.raises(RunError, match="enough"):
            label_images(records, predictor, run, batch_size=1, max_pixels=None, on_finished=refuse)
        assert 1 <= run.finish().labelled < len(records)


def test_each_row_says_how_long_the_model_took(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label(records, predictor, run, batch_size=2)
        seconds = [entry.seconds for entry in run.entries()]
    assert all(second is not None and 0 < second < 60 for second in seconds)


def test_what_clip_saw_is_kept_for_every_segment(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> None:
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        label(records, predictor, run, batch_size=2)
        for entry in run.entries():
            kept = run.read_embeddings(entry)
            assert kept is not None
            assert kept.image.shape == (16,)
            assert entry.labels is not None
            assert kept.segments.keys() == {s.id for s in entry.labels.current.segments_info}
