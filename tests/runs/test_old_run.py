"""A run folder of an earlier version is read, taken up and corrected as it is."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.images import ImageRecord, find_images
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import read_manifest
from frozenseg_label.runs.run_folder import RunFolder

OLD = Path(__file__).parent / "run_of_bb9cc1b"  # the commit that made it
PICTURES = Path(__file__).parent / "pictures_of_bb9cc1b"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    shutil.copytree(OLD, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def records(out: Path, tmp_path: Path) -> list[ImageRecord]:
    """The pictures, with the times that they had then."""
    shutil.copytree(PICTURES, tmp_path / "pictures")
    found = []
    with RunFolder.read(out) as run:
        for record in find_images([tmp_path / "pictures"]):
            entry = run.entry(record.relative)
            assert entry is not None
            os.utime(record.path, ns=(entry.mtime_ns, entry.mtime_ns))
            found.append(replace(record, mtime_ns=entry.mtime_ns))
    return found


def test_its_labels_are_read(out: Path) -> None:
    with open_label_set(out) as labels:
        assert labels.images == ("2.png", "dog/1.png")
        assert all(labels.read_map(name).segments for name in labels.images)


def test_it_is_taken_up_and_corrected(out: Path, records: list[ImageRecord]) -> None:
    with RunFolder.open_or_create(out, read_manifest(out), formats=("class-png",)) as run:
        assert run.plan(records).todo == ()
        labels = run.read_map("2.png")
        accepted = tuple(replace(segment, state="accepted") for segment in labels.segments)
        run.correct(records[0], PanopticMap(labels.ids, accepted), state="reviewed")
        run.finish()
        assert np.array_equal(run.read_proposed("2.png").ids, labels.ids)
    with RunFolder.read(out) as run:
        entry = run.entry("2.png")
        assert entry is not None
        assert entry.labels is not None
        assert entry.labels.state == "reviewed"
        assert run.read_embeddings(entry) is not None
