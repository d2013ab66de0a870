"""The journal row is what commits an image; everything else is finished or removed."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.files import stage
from frozenseg_label.images import ImageRecord
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.commit import stage_files
from frozenseg_label.runs.layout import staging_key
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

PNG = "panoptic/a.png"


@pytest.fixture
def out(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """A run folder with one labelled image, `a.jpg`."""
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.commit(make_image("a.jpg"), make_map([[1, 1]], {1: (1, "proposed")}))
    return tmp_path / "out"


def reopen(out: Path, manifest: Manifest) -> list[str]:
    """Take the folder up; returns the names of its PNGs and leftovers."""
    with RunFolder.open_or_create(out, manifest):
        return sorted(path.name for path in (out / "panoptic").iterdir())


def test_a_committed_file_gets_its_name_at_the_next_opening(
    out: Path, make_manifest: MakeManifest
) -> None:
    data = (out / PNG).read_bytes()
    stage(out / PNG, staging_key(PNG, hashlib.sha256(data).hexdigest()), data)
    (out / PNG).unlink()  # as if the program had died before the renaming
    assert reopen(out, make_manifest()) == ["a.png"]
    assert (out / PNG).read_bytes() == data


def test_a_staged_file_that_is_torn_does_not_replace_a_whole_one(
    out: Path, make_manifest: MakeManifest
) -> None:
    data = (out / PNG).read_bytes()
    stage(out / PNG, staging_key(PNG, hashlib.sha256(data).hexdigest()), data[:10])
    assert reopen(out, make_manifest()) == ["a.png"]
    assert (out / PNG).read_bytes() == data


@pytest.mark.parametrize("torn", [False, True])
def test_a_reader_finds_the_labels_before_a_writer_has_put_a_killed_run_in_order(
    out: Path, torn: bool
) -> None:
    data = (out / PNG).read_bytes()
    key = staging_key(PNG, hashlib.sha256(data).hexdigest())
    stage(out / PNG, key, data[:10] if torn else data)
    if not torn:  # the program died before the renaming, else while it wrote the same file again
        (out / PNG).unlink()
    with open_label_set(out) as labels:
        assert labels.read_map("a.jpg").ids.tolist() == [[1, 1]]
        png = labels.labels_of("a.jpg").png
    assert png is not None
    assert png.read_bytes() == data


def test_leftovers_that_no_row_names_are_removed(out: Path, make_manifest: MakeManifest) -> None:
    stage(out / PNG, "of no row", b"data")
    (out / "panoptic" / ".frozenseg-0123.tmp").write_bytes(b"half")
    (out / "panoptic" / ".keep").write_bytes(b"not ours")
    assert reopen(out, make_manifest()) == [".keep", "a.png"]


def test_files_of_which_one_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "panoptic").write_bytes(b"in the way")
    with pytest.raises(RunError):
        stage_files(tmp_path, {"proposed/a.png": b"whole", PNG: b"refused"})
    assert list((tmp_path / "proposed").iterdir()) == []


def test_failures_may_come_from_another_thread_than_labels(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    good = [make_image(f"good/{i}.jpg") for i in range(20)]
    bad = [make_image(f"bad/{i}.jpg") for i in range(20)]
    labels = make_map([[1, 2]], {1: (1, "proposed"), 2: (2, "proposed")})
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        writer = threading.Thread(target=lambda: [run.commit(image, labels) for image in good])
        writer.start()
        for image in bad:
            run.fail(image, "torn")
        writer.join()
        summary = run.finish()
        assert run.plan([*good, *bad]).done == tuple(good)
    assert (summary.labelled, summary.failed) == (20, 20)
    assert (summary.totals.images, summary.totals.failed) == (20, 20)
