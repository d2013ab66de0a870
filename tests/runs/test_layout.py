"""A run folder from elsewhere writes nowhere but in itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.layout import checked_name
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]


@pytest.fixture
def out(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """A run of one labelled image."""
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.commit(
            make_image("a.jpg"), make_map([[1, 2]], {1: (1, "proposed"), 2: (3, "proposed")})
        )
        run.finish()
    return tmp_path / "out"


@pytest.mark.parametrize("name", ["../victim/a.jpg", "/etc/a.jpg", "b/../../a.jpg", "a\0.jpg", ""])
def test_a_row_whose_image_is_elsewhere_is_refused_with_its_line(out: Path, name: str) -> None:
    row = json.loads((out / "journal.jsonl").read_text())
    with (out / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(row | {"image": name}) + "\n")
    for opened in (RunFolder.read, RunFolder.open_to_correct):
        with (
            pytest.raises(RunError, match=r"journal\.jsonl, line 2.*below its folder"),
            opened(out),
        ):
            pass


def test_dots_that_lead_nowhere_are_a_name() -> None:
    assert checked_name("..a/b..jpg") == "..a/b..jpg"


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"current": {"names": {}}},
        {
            "rejected": [
                {"category": "cat", "size": [1, 2], "counts": [0, 10**12], "source": "model:x"}
            ]
        },
    ],
)
def test_a_row_that_does_not_fit_itself_is_one_sentence(
    out: Path, change: dict[str, object]
) -> None:
    row = json.loads((out / "journal.jsonl").read_text())
    for key, value in change.items():
        before = row["labels"].get(key)
        row["labels"][key] = before | value if isinstance(value, dict) else value
    (out / "journal.jsonl").write_text(json.dumps(row) + "\n")
    with RunFolder.read(out) as run, pytest.raises(RunError, match="no journal row"):
        run.read_map("a.jpg")


@pytest.mark.parametrize("name", ["panoptic", "journal.jsonl", "lock", "class-png"])
def test_nothing_is_written_through_a_link_in_the_run_folder(
    out: Path,
    tmp_path: Path,
    name: str,
    make_manifest: MakeManifest,
    make_image: MakeImage,
    make_map: MakeMap,
) -> None:
    victim = tmp_path / "victim"
    if name == "class-png":
        (out / name).mkdir()
    (out / name).rename(victim)
    (out / name).symlink_to(victim)
    files = sorted(victim.rglob("*")) if victim.is_dir() else [victim]
    before = [path.read_bytes() for path in files if path.is_file()]

    def label() -> None:
        with RunFolder.open_or_create(out, make_manifest(), formats=("class-png",)) as run:
            run.commit(make_image("b.jpg"), make_map([[1]], {1: (1, "proposed")}))

    with pytest.raises(RunError, match="is a symbolic link"):
        label()
    files = sorted(victim.rglob("*")) if victim.is_dir() else [victim]
    assert [path.read_bytes() for path in files if path.is_file()] == before
