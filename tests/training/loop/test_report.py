"""The table shows what a training gained, and what was forgotten."""

import json
from pathlib import Path

import pytest

from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.training.data.labelled_images import LabelledImage, LabelledSegment
from frozenseg_label.training.loop.report import (
    HELD_OUT,
    PROBE,
    RETAINED,
    ClassGroups,
    TableRow,
    forgotten,
    write_report,
)
from frozenseg_label.vocabulary_files import parse_classes
from tests.training.small_sets import map_of

WORDS = parse_classes("cat | kitten, dog, sky: stuff, cow, emu")


def image_with(*names: str, proposed: str = "cow") -> LabelledImage:
    segments = [LabelledSegment(id_, name, "accepted") for id_, name in enumerate(names, start=1)]
    segments.append(LabelledSegment(99, proposed, "proposed"))
    nowhere = Path("nowhere")
    return LabelledImage(nowhere, "", nowhere, (1, 4), tuple(segments), True)


def groups_of(seen_before: set[str], named: set[str]) -> ClassGroups:
    images = [image_with("Cat", "dog"), image_with("sky")]
    return ClassGroups.of(images, WORDS, seen_before, named)


def test_classes_are_sorted_by_what_the_weights_knew_and_what_they_learn() -> None:
    groups = groups_of(seen_before={"kitten"}, named={"CAT", "dog"}).groups
    assert groups == {
        "all": {1, 2, 3},
        "things": {1, 2},
        "stuff": {3},
        "seen by the weights before": {1},
        "new to the weights": {2},
        RETAINED: {3},
    }


def test_groups_without_a_class_are_left_out_and_so_are_classes_that_do_not_occur() -> None:
    groups = groups_of(seen_before=set(), named={"cat", "dog", "sky", "emu"}).groups
    assert "seen by the weights before" not in groups
    assert RETAINED not in groups
    assert groups["all"] == {1, 2, 3}


def tally_of(*pairs: tuple[PanopticMap, PanopticMap]) -> PanopticTally:
    tally = PanopticTally()
    for predicted, truth in pairs:
        tally.add(predicted, truth)
    return tally


def test_a_class_that_was_never_found_counts_nothing_and_other_classes_do_not_count() -> None:
    """The cat is found, the dog is taken for an emu, and these images show no sky."""
    truth = map_of([[1, 1, 2, 2]], {1: 1, 2: 2}, vocabulary=WORDS)
    predicted = map_of([[1, 1, 2, 2]], {1: 1, 2: 5}, vocabulary=WORDS)
    quality = groups_of({"cat"}, {"cat"}).quality(tally_of((predicted, truth)))
    assert quality["all"] == pytest.approx(100 / 3)
    assert quality["things"] == pytest.approx(50)
    assert quality["stuff"] == 0.0
    assert quality["seen by the weights before"] == pytest.approx(100)


def test_rows_tell_how_many_classes_a_mean_is_over() -> None:
    groups = groups_of({"cat"}, {"cat"})
    before = dict.fromkeys(groups.groups, 10.004)
    rows = groups.rows(HELD_OUT, before, dict.fromkeys(groups.groups, 20.0))
    assert rows[0] == TableRow(HELD_OUT, "all", 3, 10.0, 20.0)
    assert [row.count for row in rows] == [3, 2, 1, 1, 2]


def test_forgotten_is_what_never_named_classes_lost_on_the_probe_set() -> None:
    rows = [
        TableRow(HELD_OUT, RETAINED, 1, 50.0, 10.0),
        TableRow(PROBE, "all", 30, 40.0, 50.0),
        TableRow(PROBE, RETAINED, 10, 30.0, 27.5),
    ]
    assert forgotten(rows) == 2.5
    assert forgotten(rows[:2]) == -10.0  # where all are named: of all, and here they won
    assert forgotten(rows[:1]) is None


def test_two_classes_that_the_labels_never_name_do_not_decide_what_is_forgotten() -> None:
    few = [TableRow(PROBE, "all", 73, 33.5, 32.9), TableRow(PROBE, RETAINED, 2, 20.5, 12.7)]
    assert forgotten(few) == 0.6


def test_the_report_is_json_with_the_table(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(path, [TableRow(PROBE, "all", 3, 40.0, 38.0)], {"steps": 7})
    report = json.loads(path.read_text())
    assert report == {
        "schema_version": 1,
        "steps": 7,
        "table": [{"images": "probe", "classes": "all", "count": 3, "before": 40.0, "after": 38.0}],
        "forgetting": 2.0,
    }
