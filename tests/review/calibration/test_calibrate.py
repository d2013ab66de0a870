"""Which segments need no look: learnt from reviewed ones, accepted by machine, and taken back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import frozenseg_label
from frozenseg_label.errors import RunError
from frozenseg_label.evaluation.evaluation_report import Outcomes
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import Segment
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from tests.review.judged_run import (
    CAT,
    REVIEWED,
    SEGMENTS,
    VOCABULARY,
    judged_run,
    manifest,
    pictures,
    proposal,
)

RULE = "calibrate 0.95"


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    return pictures(tmp_path)


@pytest.fixture
def run(tmp_path: Path, records: list[ImageRecord]) -> Path:
    return judged_run(tmp_path / "run", records)


def segments(run: Path) -> dict[str, tuple[Segment, ...]]:
    with RunReader.read(run) as opened:
        return {entry.image: opened.read_map(entry.image).segments for entry in opened.entries()}


def by_machine(run: Path) -> dict[str, set[int]]:
    """Return ids of the segments that a machine accepted; images without any are left out."""
    found = {
        image: {segment.id for segment in some if segment.accepted_by is not None}
        for image, some in segments(run).items()
    }
    return {image: ids for image, ids in found.items() if ids}


def test_what_is_surely_right_is_accepted_in_images_that_nobody_reviewed(run: Path) -> None:
    before = {path: path.read_bytes() for path in (run / "panoptic").iterdir()}
    report = frozenseg_label.calibrate(run, accept=0.95)
    assert (report.images, report.segments) == (REVIEWED, REVIEWED * SEGMENTS)
    assert report.error_after < report.error_before
    done = report.acceptance
    assert done is not None
    assert done.threshold is not None
    assert done.threshold.bound >= 0.95
    sure = set(range(2, SEGMENTS + 1, 2))
    assert by_machine(run) == {f"{n:02d}.jpg": sure for n in range(REVIEWED, 2 * REVIEWED)}
    assert (done.segments, done.open) == (REVIEWED * SEGMENTS // 2, REVIEWED * SEGMENTS)
    assert (done.images, done.settled) == (REVIEWED, 0)
    accepted = segments(run)["20.jpg"][1]
    assert (accepted.state, accepted.source, accepted.accepted_by) == (
        "accepted",
        "model:abc",
        RULE,
    )
    assert accepted.score is not None
    assert before == {path: path.read_bytes() for path in (run / "panoptic").iterdir()}
    rows = json.loads((run / "panoptic.json").read_text())["annotations"]
    said = [info.get("accepted_by") for row in rows for info in row["segments_info"]]
    assert said.count(RULE) == done.segments
    assert {row["state"] for row in rows} == {"reviewed", "unseen"}


def test_accepting_twice_changes_nothing_and_learns_nothing_from_the_machine(run: Path) -> None:
    first = frozenseg_label.calibrate(run, accept=0.95)
    rows = (run / "journal.jsonl").read_bytes()
    again = frozenseg_label.calibrate(run, accept=0.95)
    assert (run / "journal.jsonl").read_bytes() == rows
    assert replace(again, acceptance=None) == replace(first, acceptance=None)


def test_a_killed_run_is_taken_up_by_the_same_command(run: Path) -> None:
    journal = run / "journal.jsonl"
    before = len(journal.read_bytes().splitlines())
    first = frozenseg_label.calibrate(run, accept=0.95)
    accepted, lines = by_machine(run), journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: before + 5]) + lines[before + 5][:40])  # in the midst
    assert len(by_machine(run)) == 5
    again = frozenseg_label.calibrate(run, accept=0.95)
    assert by_machine(run) == accepted
    assert again.acceptance is not None
    assert first.acceptance is not None
    assert again.acceptance.segments == first.acceptance.segments * (REVIEWED - 5) // REVIEWED


def test_undoing_takes_exactly_the_acceptances_back(run: Path, records: list[ImageRecord]) -> None:
    before = segments(run)
    frozenseg_label.calibrate(run, accept=0.95)
    with RunFolder.open_to_correct(run) as opened:  # a person agrees to one, and redraws another
        made = opened.read_map("20.jpg")
        second, fourth = made.segments[1].accepted(), made.segments[3].owned_by("human")
        mine = (made.segments[0], second, made.segments[2], fourth, *made.segments[4:])
        opened.correct(records[20], replace(made, segments=mine), state="in review")
    withdrawn = frozenseg_label.undo_calibrate(run)
    assert withdrawn.segments == REVIEWED * SEGMENTS // 2 - 2
    assert withdrawn.images == REVIEWED
    after = segments(run)
    assert after.pop("20.jpg") == mine[:4] + before.pop("20.jpg")[4:]
    assert after == before
    assert frozenseg_label.undo_calibrate(run).segments == 0


def test_a_later_run_keeps_what_was_accepted(run: Path, records: list[ImageRecord]) -> None:
    frozenseg_label.calibrate(run, accept=0.95)
    accepted = by_machine(run)
    with RunFolder.open_or_create(run, manifest("better"), update=True) as opened:
        for record in opened.plan(records).todo:
            opened.commit(record, proposal(99))
        opened.finish()
        labels = [entry.labels for entry in opened.entries()]
        states = [said.state for said in labels if said is not None]
    assert by_machine(run) == accepted
    assert states == ["reviewed"] * REVIEWED + ["unseen"] * REVIEWED
    with pytest.raises(RunError, match="16 reviewed images have labels of other weights"):
        frozenseg_label.calibrate(run)  # nobody has judged the better weights' segments yet


def test_other_words_take_the_machines_acceptances_back_and_no_persons(
    run: Path, records: list[ImageRecord], caplog: pytest.LogCaptureFixture
) -> None:
    frozenseg_label.calibrate(run, accept=0.95)
    with RunFolder.open_to_correct(run) as opened:
        made = opened.read_map("20.jpg")
        mine = (made.segments[0], made.segments[1].accepted(), *made.segments[2:])
        opened.correct(records[20], replace(made, segments=mine), state="in review")
    cat, _, sky = VOCABULARY.categories
    with pytest.raises(RunError, match="missing from the vocabulary fewer: dog"):
        update(run, records, replace(VOCABULARY, name="fewer", categories=(cat, sky)))
    fewer = replace(cat, synonyms=("dog",)), sky  # a person's dogs become cats
    update(run, records, replace(VOCABULARY, categories=fewer), number=CAT)
    assert by_machine(run) == {}
    assert f"in {REVIEWED} images" in caplog.text
    owned = [s for s in segments(run)["20.jpg"] if s.is_owned]
    assert [(s.id, s.category_id, s.state) for s in owned] == [(2, CAT, "accepted")]


def test_another_lowest_score_takes_no_acceptance_back(
    run: Path, records: list[ImageRecord]
) -> None:
    frozenseg_label.calibrate(run, accept=0.95)
    accepted = by_machine(run)
    stricter = tuple(replace(c, min_score=0.3) for c in VOCABULARY.categories)
    update(run, records, replace(VOCABULARY, categories=stricter))
    assert by_machine(run) == accepted


def update(
    run: Path, records: list[ImageRecord], words: Vocabulary, number: int | None = None
) -> None:
    """Label all images anew by these words, with segments of the usual or of one class."""
    with RunFolder.open_or_create(run, manifest(vocabulary=words), update=True) as opened:
        for record in opened.plan(records).todo:
            made = proposal(99)
            if number is not None:
                one_class = tuple(replace(s, category_id=number) for s in made.segments)
                made = replace(made, segments=one_class)
            opened.commit(record, made)
        opened.finish()


def test_no_person_is_said_to_have_judged_what_a_machine_accepted(
    run: Path, records: list[ImageRecord]
) -> None:
    frozenseg_label.calibrate(run, accept=0.95)
    before = frozenseg_label.evaluate(run, reviewed=True)
    with RunFolder.open_to_correct(run) as opened:
        made = opened.read_map("20.jpg")
        mine = (replace(made.segments[0], state="rejected"), *made.segments[1:])
        opened.correct(records[20], replace(made, segments=mine), state="in review")
    after = frozenseg_label.evaluate(run, reviewed=True)
    total = {**vars(before.total), "spurious": before.total.spurious + 1, "pq": after.total.pq}
    assert after.total == Outcomes(**total)


def test_where_the_precision_is_out_of_reach_nothing_is_accepted(run: Path) -> None:
    report = frozenseg_label.calibrate(run, accept=0.999)
    done = report.acceptance
    assert done is not None
    assert (done.threshold, done.segments) == (None, 0)
    assert done.missing == 2995 - report.right
    assert by_machine(run) == {}


def test_too_few_reviewed_segments_are_refused_with_how_many_are_needed(
    tmp_path: Path, records: list[ImageRecord]
) -> None:
    judged_run(tmp_path / "few", records[:3])
    with pytest.raises(RunError, match=r"60 proposed segments in 3 images .* 50 in 10 images"):
        frozenseg_label.calibrate(tmp_path / "few")


def test_a_vocabulary_gets_scores_that_reach_a_precision(run: Path, tmp_path: Path) -> None:
    written = tmp_path / "words.yaml"
    report = frozenseg_label.calibrate(run, vocab_out=written, precision=0.97)
    words = {category.name: category for category in read_vocabulary(written).categories}
    assert list(words) == ["cat", "dog", "sky"]
    assert not words["sky"].is_thing
    for found in report.classes:
        assert found.reaches
        assert not found.shares
        assert words[found.name].min_score == found.min_score
        assert 0.3 < words[found.name].min_score < 0.8


def test_a_picture_shows_how_reliable_the_probabilities_are(run: Path, tmp_path: Path) -> None:
    report = frozenseg_label.calibrate(run, picture=tmp_path / "reliability.png")
    assert report.picture is not None
    assert report.picture.read_bytes().startswith(b"\x89PNG")
