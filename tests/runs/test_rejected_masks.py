"""What people rejected is in the run folder once, however many rows say it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]


def rejected(out: Path) -> list[str]:
    with RunFolder.read(out) as run:
        entry = run.entry("a.jpg")
    assert entry is not None
    assert entry.labels is not None
    return [memory.category for memory in entry.labels.rejected]


@pytest.fixture
def out(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """A run with an image whose cat was rejected, and after two more rows its dog as well."""
    image = make_image("a.jpg")
    first = make_map([[4, 5, 9]], {4: (1, "rejected"), 5: (2, "proposed"), 9: (3, "accepted")})
    second = make_map([[0, 5, 9]], {5: (2, "rejected"), 9: (3, "accepted")})
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.correct(image, first, state="in review")
        run.fail(image, "torn")
        run.commit(image, make_map([[0, 5, 9]], {5: (2, "proposed"), 9: (3, "proposed")}))
        run.correct(image, second, state="reviewed")
        run.finish()
    return tmp_path / "out"


def test_each_mask_is_written_once_and_every_row_names_it(out: Path) -> None:
    masks = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert [mask["category"] for mask in masks] == ["cat", "dog"]
    named = [row["labels"]["rejected"] for row in rows(out)]
    assert [len(references) for references in named] == [1, 1, 1, 2]
    assert len({references[0]["sha256"] for references in named}) == 1
    assert all("counts" not in reference for references in named for reference in references)
    assert rejected(out) == ["cat", "dog"]


def test_rows_of_earlier_versions_that_hold_their_masks_are_read_and_go_on(
    out: Path, make_image: MakeImage
) -> None:
    masks = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    old = rows(out)[-1]
    old["labels"]["rejected"] = masks
    (out / "journal.jsonl").write_text(json.dumps(old) + "\n")
    (out / "rejected.jsonl").unlink()
    assert rejected(out) == ["cat", "dog"]
    with RunFolder.open_to_correct(out) as run:
        run.fail(make_image("a.jpg"), "torn")
    assert rejected(out) == ["cat", "dog"]
    assert len((out / "rejected.jsonl").read_text().splitlines()) == 2


def test_a_torn_mask_that_no_row_names_does_no_harm(
    out: Path, make_image: MakeImage, make_map: MakeMap
) -> None:
    with (out / "rejected.jsonl").open("ab") as file:
        file.write(b'{"category": "sk')  # killed here, before the row was written
    again = make_map([[0, 0, 9]], {9: (3, "rejected")})
    with RunFolder.open_to_correct(out) as run:
        run.correct(make_image("a.jpg"), again, state="reviewed")
    assert rejected(out) == ["cat", "dog", "sky"]


def test_a_reader_reads_the_file_that_it_opened_and_masks_that_come_later(
    out: Path, make_image: MakeImage, make_map: MakeMap
) -> None:
    again = make_map([[0, 0, 9]], {9: (3, "rejected")})
    with RunFolder.open_to_correct(out) as run:
        assert run.entry("a.jpg") is not None
        run.correct(make_image("a.jpg"), again, state="reviewed")
        (out / "rejected.jsonl").unlink()
        entry = run.entry("a.jpg")
    assert entry is not None
    assert entry.labels is not None
    assert [memory.category for memory in entry.labels.rejected] == ["cat", "dog", "sky"]


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_file_that_lost_a_mask_is_told_and_no_row_is_blamed(out: Path, damage: str) -> None:
    path = out / "rejected.jsonl"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"cat", b"car"))
    with pytest.raises(RunError, match=r"rejected\.jsonl: does not have .* restore the file"):
        rejected(out)
