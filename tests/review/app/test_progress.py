"""What waits for a verdict, and how much is decided, with what is not saved yet."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from frozenseg_label.review.app import buttons
from frozenseg_label.review.app.actions import undo_back_to
from frozenseg_label.review.app.pace import note_decided, pace_today
from frozenseg_label.review.app.progress import Progress, progress_of
from frozenseg_label.review.app.views import DOUBTFUL_SEGMENTS, MOST_DOUBTFUL, PER_CLASS
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import image_of, open_in_fiftyone, segment_of


def ids_of(dataset, image: str, *segments: int) -> list[str]:  # noqa: ANN001
    return [segment_of(image_of(dataset, image), id_).id for id_ in segments]


def counts(progress: Progress) -> tuple[int, ...]:
    return (
        progress.reviewed,
        progress.accepted,
        progress.relabelled,
        progress.rejected,
        progress.waiting,
    )


def test_decided_segments_and_images_leave_the_views_at_once(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    views = {name: len(dataset.load_saved_view(name)) for name in (DOUBTFUL_SEGMENTS, PER_CLASS)}
    assert views == {DOUBTFUL_SEGMENTS: 9, PER_CLASS: 9}
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 1), "accepted")
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 2), "rejected")
    buttons.take_second(dataset, ids_of(dataset, "b.png", 2))
    for name in (DOUBTFUL_SEGMENTS, PER_CLASS):
        view = dataset.load_saved_view(name)
        assert len(view) == 6
        assert not {*ids_of(dataset, "a.png", 1, 2)} & {*view.values("id")}
    undo_back_to(dataset)
    assert len(dataset.load_saved_view(DOUBTFUL_SEGMENTS)) == 7
    buttons.tag_images(dataset, [image_of(dataset, "c.png").id], "accepted")
    assert sorted(dataset.load_saved_view(MOST_DOUBTFUL).values("image")) == ["a.png", "b.png"]


def test_progress_says_before_a_save_what_the_journal_says_after_it(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    start = progress_of(dataset)
    assert (start.images, start.segments, counts(start)) == (3, 9, (0, 0, 0, 0, 9))
    assert start.promised > 0
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 1), "accepted")
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 2), "rejected")
    buttons.relabel_segments(dataset, ids_of(dataset, "b.png", 2), "dog")
    buttons.tag_images(dataset, [image_of(dataset, "c.png").id], "accepted")
    before = progress_of(dataset)
    assert counts(before) == (1, 4, 1, 1, 3)
    assert before.promised < start.promised
    assert "**1 of 3 images** reviewed" in before.text()
    save_review(out)
    after = progress_of(dataset)
    assert (after.segments, counts(after)) == (before.segments, counts(before))
    with RunFolder.read(out) as run:
        entries = [entry.labels for entry in run.entries() if entry.labels is not None]
    states = [info.state for labels in entries for info in labels.current.segments_info]
    found = states.count("accepted"), states.count("edited"), states.count("proposed")
    assert found == (after.accepted, after.relabelled, after.waiting)
    assert sum(len(labels.rejected) for labels in entries) == after.rejected
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 1), "proposed")
    assert counts(progress_of(dataset)) == (1, 3, 1, 1, 4)


def test_what_comes_next_is_open_and_follows_in_the_view(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    view = dataset.load_saved_view(MOST_DOUBTFUL)
    first, second, third = view.values("id")
    assert buttons.next_shown(view, first) == second
    buttons.tag_images(dataset, [second], "accepted")
    assert buttons.next_shown(view, first) == third
    assert buttons.next_shown(view, third) == first
    buttons.tag_images(dataset, [first, second, third], "rejected")
    assert buttons.next_shown(view, third) is None
    image = dataset[first]
    gains = {one.gain: one.id for one in image.segments.detections}
    undo_back_to(dataset)
    assert buttons.next_segment(dataset, first) in [
        one.id for one in image.segments.detections if one.gain == max(gains)
    ]
    everything = [one.id for one in image.segments.detections]
    buttons.tag_segments(dataset, everything, "accepted")
    assert buttons.next_segment(dataset, first) is None
    patches = dataset.load_saved_view(DOUBTFUL_SEGMENTS)
    [one, two] = patches.values("id")[:2]
    assert buttons.next_shown(patches, one) == two


def test_decided_segments_have_colours_of_their_own(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    colors = {row["value"] for row in dataset.app_config.color_scheme.label_tags["valueColors"]}
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 1), "accepted")
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 2), "rejected")
    buttons.relabel_segments(dataset, ids_of(dataset, "a.png", 3), "cat")
    tags = set(dataset.count_label_tags())
    save_review(out)
    tags |= set(dataset.count_label_tags())
    assert tags == {"accepted", "rejected", "edited", "saved-accepted", "saved-edited"}
    assert tags <= colors
    assert save_review(out).images == ()  # the colours of saved ones are no new verdicts


def test_what_was_decided_today_counts_and_what_was_undone_does_not(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 1, 2), "accepted")
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 2), "rejected")  # decided before
    buttons.take_second(dataset, ids_of(dataset, "a.png", 3))
    buttons.tag_images(dataset, [image_of(dataset, "b.png").id], "accepted")
    buttons.note_segments(dataset, ids_of(dataset, "a.png", 1), "a note decides nothing")
    assert progress_of(dataset).pace.decided == 2 + 1 + 3
    undo_back_to(dataset)  # the note
    undo_back_to(dataset)
    assert progress_of(dataset).pace.decided == 3
    save_review(out)
    buttons.tag_segments(dataset, ids_of(dataset, "a.png", 1), "proposed")
    assert progress_of(dataset).pace.decided == 2


def test_pauses_do_not_count_as_work(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
    for minutes in (0, 3, 6, 60, 64):  # 3 + 3 + 4 minutes of work
        at = (noon + timedelta(minutes=minutes)).astimezone(UTC).isoformat()
        note_decided(dataset, at, 20, "Anna")
    yesterday = (noon - timedelta(days=1)).astimezone(UTC).isoformat()
    note_decided(dataset, yesterday, 1000, "Anna")
    pace = pace_today(dataset, "Anna")
    assert (pace.decided, pace.an_hour) == (100, pytest.approx(600))
    assert pace.text(waiting=60) == (
        "**100** decided today, 600 an hour; at this pace, what waits takes 6 minutes"
    )
    assert pace_today(dataset, "Bo").text(waiting=60) == "**0** decided today"
