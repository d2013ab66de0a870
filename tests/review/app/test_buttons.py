"""What the buttons of our plugin do to the segments in FiftyOne, with a real database."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app import buttons
from frozenseg_label.review.review_run import save_review
from tests.review.small_run import image_of, labels, open_in_fiftyone, png, segment_of


def ids_of(dataset, name: str, *segments: int) -> list[str]:  # noqa: ANN001
    return [segment_of(image_of(dataset, name), id_).id for id_ in segments]


def test_accepting_takes_a_rejection_back(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    ids = [*ids_of(dataset, "a.png", 2, 3), *ids_of(dataset, "b.png", 2)]
    assert buttons.tag_segments(dataset, ids, "rejected") == 3
    assert buttons.tag_segments(dataset, ids[:1], "accepted") == 1
    states = {image.image: image.changes for image in save_review(out).images}
    assert [(c.kind, c.segment) for c in states["a.png"]] == [("accepted", 2), ("rejected", 3)]
    assert [(c.kind, c.segment) for c in states["b.png"]] == [("rejected", 2)]


def test_merged_segments_are_one_of_the_larger_ones_class(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    assert buttons.merge_segments(dataset, ids_of(dataset, "a.png", 1, 2)) == 1
    [report] = save_review(out).images
    assert [(c.kind, c.segment, c.label) for c in report.changes] == [("merged", 1, "sky")]
    expected = labels().ids
    expected[expected == 2] = 1
    assert np.array_equal(png(out, "a.png"), expected)


def test_merging_is_refused_as_a_whole_where_an_image_has_but_one_of_the_segments(
    out: Path,
) -> None:
    dataset = open_in_fiftyone(out).dataset
    ids = [*ids_of(dataset, "a.png", 1, 2), *ids_of(dataset, "b.png", 2)]
    with pytest.raises(ReviewError, match="two segments or more of one image"):
        buttons.merge_segments(dataset, ids)
    assert save_review(out).images == ()


def test_parts_that_do_not_touch_become_segments_of_their_own(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    buttons.merge_segments(dataset, ids_of(dataset, "a.png", 2, 3))
    save_review(out)
    assert buttons.split_segments(dataset, ids_of(dataset, "a.png", 2)) == 1
    [report] = save_review(out).images
    assert {(c.kind, c.segment) for c in report.changes} == {("reshaped", 2), ("added", 4)}
    expected = labels().ids
    expected[expected == 3] = 4
    assert np.array_equal(png(out, "a.png"), expected)


def test_a_class_is_found_by_its_synonyms_and_by_its_kind(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    things = buttons.class_choices(dataset, lambda is_thing: is_thing)
    assert things == {"cat": "cat", "kitten = cat": "cat", "dog": "dog"}
    assert buttons.kinds_of(dataset, ids_of(dataset, "a.png", 1, 2)) == {True, False}
    buttons.relabel_segments(dataset, ids_of(dataset, "a.png", 2), "grass")
    assert buttons.kinds_of(dataset, ids_of(dataset, "a.png", 2)) == {False}


def test_what_people_did_to_many_segments_costs_little_more_than_fiftyones_own_tags(
    out: Path,
) -> None:
    """Masks are not read: only tags travel, as in FiftyOne's own action."""
    import fiftyone as fo

    dataset = open_in_fiftyone(out).dataset
    big = np.ones((600, 600), bool)
    for sample in dataset.iter_samples(autosave=True):
        sample.segments.detections = [
            fo.Detection(label="cat", bounding_box=[0, 0, 1, 1], mask=big) for _ in range(20)
        ]
    ids = dataset.values("segments.detections.id", unwind=True)

    def seconds(act: Callable[[str], object], tags: Sequence[str]) -> float:
        """Return the CPU seconds of the quicker one of two tags."""
        taken = []
        for tag in tags:
            start = time.process_time()
            act(tag)
            taken.append(time.process_time() - start)
        return min(taken)

    own = seconds(lambda tag: dataset.select_labels(ids=ids).tag_labels(tag), ["one", "two"])
    ours = seconds(lambda tag: buttons.tag_segments(dataset, ids, tag), ["accepted", "rejected"])
    assert ours < 3 * own + 0.01
    assert dataset.count_label_tags() == {"one": 60, "two": 60, "rejected": 60}


def test_two_letters_find_the_operator_whose_title_begins_with_them(mongod: str) -> None:
    from frozenseg_label.review.app.operators.review_operator import ReviewOperator
    from frozenseg_label.review.app.plugin import register

    found: list[Any] = []
    register(SimpleNamespace(register=found.append))
    configs = [one().config for one in found if issubclass(one, ReviewOperator)]
    listed = [(one.label.strip(), one.name) for one in sorted(configs, key=lambda one: one.label)]
    for title, _ in listed:
        letters = title[:2]
        first = next(shown for shown, name in listed if letters in shown or letters in name)
        assert first.startswith(letters), f"{letters} finds {first!r} before {title!r}"
