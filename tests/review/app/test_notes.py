"""Notes on segments and images: from the App into every file, and through later runs."""

import csv
import json
from pathlib import Path

from frozenseg_label.panoptic import Segment
from frozenseg_label.review.app import buttons
from frozenseg_label.review.app.actions import undo_back_to
from frozenseg_label.review.review_run import queue_csv, review_page, save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import (
    MakeManifest,
    annotate,
    image_of,
    labels,
    open_in_fiftyone,
    segment_of,
)


def note(dataset, image: str, segment: int, text: str) -> None:  # noqa: ANN001
    buttons.note_segments(dataset, [segment_of(image_of(dataset, image), segment).id], text)


def segments(out: Path, image: str) -> dict[int, Segment]:
    with RunFolder.read(out) as run:
        return {segment.id: segment for segment in run.read_map(image).segments}


def test_notes_of_the_app_are_in_every_file(out: Path, tmp_path: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    note(dataset, "a.png", 2, "its tail is hidden")
    sample = image_of(dataset, "a.png")
    sample["note"] = "too dark"  # as the Annotate tab writes it
    sample.save()
    [report] = save_review(out).images
    assert [(change.kind, change.segment) for change in report.changes] == [("noted", 2)]
    assert save_review(out).images == ()
    assert segments(out, "a.png")[2].note == "its tail is hidden"
    assert segments(out, "a.png")[2].state == "proposed"  # a note is no verdict
    with RunFolder.read(out) as run:
        entry = run.entry("a.png")
    assert entry is not None
    assert entry.labels is not None
    assert (entry.event, entry.labels.note, entry.labels.state) == (
        "reviewed",
        "too dark",
        "in review",
    )
    rows = json.loads((out / "panoptic.json").read_text())["annotations"]
    assert [row.get("note") for row in rows] == ["too dark", None, None]
    notes = [info.get("note") for info in rows[0]["segments_info"]]
    assert notes == [None, "its tail is hidden", None]
    queue_csv(out, tmp_path / "queue.csv")
    with (tmp_path / "queue.csv").open(newline="") as file:
        table = {(row["image"], row["segment"]): row for row in csv.DictReader(file)}
    row = table["a.png", "2"]
    assert (row["note"], row["image_note"]) == ("its tail is hidden", "too dark")
    assert (table["b.png", "2"]["note"], table["b.png", "2"]["image_note"]) == ("", "")
    page = review_page(out, tmp_path / "page").path.read_text()
    assert "its tail is hidden" in page
    assert "too dark" in page


def test_a_note_is_undone_and_taken_away_by_an_empty_one(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    note(dataset, "a.png", 2, "hm")
    undo_back_to(dataset)
    assert save_review(out).images == ()
    buttons.note_images(dataset, [image_of(dataset, "a.png").id], "hm")
    note(dataset, "a.png", 2, "hm")
    assert len(save_review(out).images) == 1
    buttons.note_images(dataset, [image_of(dataset, "a.png").id], "")
    note(dataset, "a.png", 2, "")
    assert len(save_review(out).images) == 1
    assert "hm" not in (out / "panoptic.json").read_text()


def test_notes_survive_later_labels(out: Path, tmp_path: Path, make_manifest: MakeManifest) -> None:
    """Those of owned segments stay, that of a proposed one goes to the segment in its place."""
    dataset = open_in_fiftyone(out).dataset
    note(dataset, "a.png", 2, "mine")
    note(dataset, "a.png", 3, "a hound?")
    buttons.note_images(dataset, [image_of(dataset, "a.png").id], "too dark")
    buttons.tag_segments(dataset, [segment_of(image_of(dataset, "a.png"), 2).id], "accepted")
    save_review(out)
    annotate(tmp_path, make_manifest("other"), labels(shift=1))
    after = segments(out, "a.png")
    assert {segment.note for segment in after.values()} == {"", "mine", "a hound?"}
    assert (after[2].note, after[2].state) == ("mine", "accepted")
    with RunFolder.read(out) as run:
        entry = run.entry("a.png")
        assert entry is not None
        assert entry.labels is not None
        assert entry.labels.note == "too dark"


def test_notes_written_before_a_later_run_was_shown_are_saved_beside_it(
    out: Path, tmp_path: Path, make_manifest: MakeManifest
) -> None:
    dataset = open_in_fiftyone(out).dataset
    note(dataset, "a.png", 3, "a hound?")
    annotate(tmp_path, make_manifest("other"), labels(shift=1))
    assert len(save_review(out).images) == 1
    assert [s.note for s in segments(out, "a.png").values() if s.note] == ["a hound?"]


def test_notes_survive_labels_that_come_back_from_another_tool(out: Path) -> None:
    from frozenseg_label.exchange.adopt_labels import adopt

    dataset = open_in_fiftyone(out).dataset
    note(dataset, "a.png", 2, "mine")
    save_review(out)
    with RunFolder.read(out) as run:
        current = run.read_map("a.png")
    adopted = adopt(labels(classes=(3, 2, 2)), current).panoptic_map  # they know no notes
    assert [segment.note for segment in adopted.segments] == ["", "mine", ""]


def test_a_note_on_a_rejected_segment_is_remembered_with_it(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    note(dataset, "a.png", 2, "a shadow")
    buttons.tag_segments(dataset, [segment_of(image_of(dataset, "a.png"), 2).id], "rejected")
    save_review(out)
    with RunFolder.read(out) as run:
        entry = run.entry("a.png")
    assert entry is not None
    assert entry.labels is not None
    assert [memory.note for memory in entry.labels.rejected] == ["a shadow"]
