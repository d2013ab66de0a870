"""What the buttons did can be undone, action by action, with a real database."""

from pathlib import Path

import pytest

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app import buttons
from frozenseg_label.review.app.actions import Undone, last_actions, others_before, undo_back_to
from frozenseg_label.review.app.server import REVIEWER
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import image_of, open_in_fiftyone, segment_of


def test_actions_are_undone_back_to_the_chosen_one(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    sample = image_of(dataset, "a.png")
    cat, dog = (segment_of(sample, id_).id for id_ in (2, 3))
    buttons.tag_segments(dataset, [cat], "rejected")
    buttons.tag_segments(dataset, [cat, dog], "accepted")
    buttons.relabel_segments(dataset, [cat], "grass")
    buttons.tag_images(dataset, [sample.id], "accepted")
    said = [action.said for action in last_actions(dataset)]
    assert said == [
        "1 image accepted",
        "1 segment changed to grass",
        "2 segments accepted",
        "1 segment rejected",
    ]
    assert undo_back_to(dataset, last_actions(dataset)[2].at) == Undone(3, 0)
    sample.reload()
    assert (segment_of(sample, 2).label, segment_of(sample, 2).tags) == ("cat", ["rejected"])
    assert (segment_of(sample, 3).tags, sample.tags) == ([], [])
    assert [action.said for action in last_actions(dataset)] == ["1 segment rejected"]


def test_after_a_save_nothing_is_undone_but_an_accepted_segment_is_proposed_again(
    out: Path,
) -> None:
    dataset = open_in_fiftyone(out).dataset
    cat = segment_of(image_of(dataset, "a.png"), 2).id
    buttons.tag_segments(dataset, [cat], "accepted")
    [action] = last_actions(dataset)
    save_review(out)
    assert last_actions(dataset) == []
    with pytest.raises(ReviewError, match="was saved or undone already"):
        undo_back_to(dataset, action.at)
    buttons.tag_segments(dataset, [cat], "proposed")
    [report] = save_review(out).images
    assert [(change.kind, change.segment) for change in report.changes] == [("proposed", 2)]
    with RunFolder.read(out) as run:
        states = {segment.id: segment.state for segment in run.read_map("a.png").segments}
    assert states == {1: "proposed", 2: "proposed", 3: "proposed"}


def test_the_second_class_is_taken_in_one_step_and_can_be_undone(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    sample = image_of(dataset, "a.png")
    ids = [segment_of(sample, id_).id for id_ in (1, 2)]
    assert buttons.take_second(dataset, ids) == 2
    sample.reload()
    assert [segment_of(sample, id_).label for id_ in (1, 2, 3)] == ["dog", "dog", "dog"]
    undo_back_to(dataset, last_actions(dataset)[0].at)
    sample.reload()
    assert [segment_of(sample, id_).label for id_ in (1, 2)] == ["sky", "cat"]


def test_each_person_undoes_only_what_is_theirs_and_hears_of_the_other(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_in_fiftyone(out).dataset
    sample = image_of(dataset, "a.png")
    cat, dog = (segment_of(sample, id_).id for id_ in (2, 3))
    monkeypatch.setenv(REVIEWER, "Anna")
    buttons.tag_segments(dataset, [cat, dog], "accepted")
    monkeypatch.setenv(REVIEWER, "Bo")
    buttons.tag_segments(dataset, [cat], "rejected")
    bos = last_actions(dataset)
    assert [action.said for action in bos] == ["1 segment rejected"]
    assert others_before(dataset, bos[0].at) == "Anna had changed 1 of them"
    monkeypatch.setenv(REVIEWER, "Anna")
    assert undo_back_to(dataset) == Undone(actions=1, kept=1)
    sample.reload()
    assert [segment_of(sample, id_).tags for id_ in (2, 3)] == [["rejected"], []]
