"""A compacted journal says all that anybody may still ask."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frozenseg_label import queue_csv
from frozenseg_label.cli import main
from frozenseg_label.errors import RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.compact import compact_journal, journal_size
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.layout import opened_path
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]


@pytest.fixture
def out(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """Two images that four runs labelled; of the second one, a person rejected a segment between.

    A third one came between them, and failed again and again.
    """
    out = tmp_path / "out"
    first, second = make_image("b.jpg"), make_image("a.jpg")
    torn = make_image("torn.jpg")
    for weights in ("one", "two", "two", "three"):
        manifest = make_manifest(weights)
        with RunFolder.open_or_create(out, manifest, update=True) as run:
            category = {"one": 1, "two": 2, "three": 3}[weights]
            panoptic = make_map([[4, 4, 5]], {4: (category, "proposed"), 5: (3, "proposed")})
            run.commit(first, panoptic)
            run.fail(torn, f"torn, said {weights}")
            run.commit(second, panoptic)
            if weights == "one":
                judged = make_map([[4, 4, 5]], {4: (1, "accepted"), 5: (3, "rejected")})
                run.correct(second, judged, state="in review", user="ann", note="blurred")
            run.finish()
    return out


def read(out: Path) -> tuple[list[Entry], list[Entry]]:
    """The last row of each image, and all rows."""
    with RunFolder.read(out) as run:
        return list(run.entries()), [entry for _, entry in run.history()]


def document(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "panoptic.json").read_text())
    return found


def queue(out: Path) -> str:
    queue_csv(out, out.parent / "queue.csv")
    return (out.parent / "queue.csv").read_text()


def test_nothing_that_counts_is_lost(out: Path, make_manifest: MakeManifest) -> None:
    last, rows = read(out)
    made, asked = document(out), queue(out)
    size = compact_journal(out)
    now, left = read(out)
    assert now == last
    assert len(left) < len(rows)
    assert size.needed == (out / "journal.jsonl").stat().st_size < size.now
    assert [row for row in left if row.event == "reviewed"] == [
        row for row in rows if row.event == "reviewed"
    ]
    assert queue(out) == asked  # also what the last run changed
    with RunFolder.open_or_create(out, make_manifest("three")) as run:
        (out / "panoptic.json").write_text("{}")
        run.finish()
        assert document(out) == {}  # it counts as up to date, and is not made again
        run.fail(run.record(now[0]), "torn")
        run.finish()
    assert document(out)["images"] == made["images"]  # the same numbers


def test_what_is_as_short_as_it_can_be_stays_as_it_is(out: Path) -> None:
    compact_journal(out)
    before = (out / "journal.jsonl").read_bytes()
    size = compact_journal(out)
    assert size.now == size.needed == len(before)
    assert (out / "journal.jsonl").read_bytes() == before


def test_labels_that_a_review_has_open_stay(out: Path) -> None:
    _, rows = read(out)
    opened = next(row for row in rows if row.image == "b.jpg")
    assert opened.labels is not None
    kept = out / opened_path("b.jpg", opened.labels.current.png)
    kept.parent.mkdir()
    kept.write_bytes(b"")
    compact_journal(out)
    assert opened in read(out)[1]


def test_a_program_that_reads_meanwhile_reads_what_it_opened(out: Path) -> None:
    last, rows = read(out)
    with RunFolder.read(out) as run:
        compact_journal(out)
        assert [entry for _, entry in run.history()] == rows
        assert list(run.entries()) == last


def test_a_run_that_is_in_use_is_not_touched(out: Path) -> None:
    before = (out / "journal.jsonl").read_bytes()
    with (
        RunFolder.open_to_correct(out),
        pytest.raises(RunError, match="in use"),
    ):
        compact_journal(out)
    assert (out / "journal.jsonl").read_bytes() == before


def test_doctor_says_how_much_is_history_and_leaves_it_out(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = f"{journal_size(out).history:.0%}"
    assert main(["doctor", f"{out}"]) == 0
    assert f"{share} of it history" in capsys.readouterr().out
    assert main(["doctor", f"{out}", "--compact"]) == 0
    assert journal_size(out).history == 0
    assert main(["doctor", "--compact"]) == 2
