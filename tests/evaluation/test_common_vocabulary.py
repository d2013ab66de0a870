"""Identical pixels are identical, whatever the two sets call their classes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import frozenseg_label
from frozenseg_label.cli import main
from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.common_vocabulary import match_vocabularies
from frozenseg_label.evaluation.evaluation_report import EvaluationReport
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import parse_classes, read_vocabulary
from tests.label_sets.published_names import ADE20K, COCO_PANOPTIC, published

MakeMap = Callable[..., PanopticMap]
MakeSet = Callable[..., Path]
WriteSet = Callable[[str, Vocabulary, list[int]], Path]


@pytest.fixture
def write(tmp_path: Path, make_map: MakeMap, make_set: MakeSet) -> WriteSet:
    """Write a set of one image: a row of pixels, each a segment of the class with that id."""

    def write_set(name: str, vocabulary: Vocabulary, classes: list[int]) -> Path:
        numbers = dict(enumerate(classes, start=1))
        made = make_map([[*numbers]], numbers)
        return make_set(tmp_path / name, {"a.jpg": made}, vocabulary)

    return write_set


def figures(report: EvaluationReport) -> dict[str, tuple[int, float | None]]:
    return {name: (group.classes, group.pq) for name, group in report.groups.items()}


@pytest.mark.parametrize(
    ("name", "spelt"), [("coco-panoptic-133", COCO_PANOPTIC), ("ade20k-150", ADE20K)]
)
def test_identical_pixels_under_published_names_have_a_quality_of_100(
    name: str, spelt: dict[int, str], write: WriteSet, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = read_vocabulary(name)
    ids = [category.id for category in ours.categories]
    mine = write("mine", ours, ids)
    theirs = write("theirs", published(name, spelt), ids)
    for predicted, truth in ((mine, theirs), (theirs, mine)):
        assert main(["evaluate", str(predicted), str(truth), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["groups"]["all"]["classes"] == len(ids)
        assert report["groups"]["all"]["pq"] == report["groups"]["all"]["miou"] == 1.0
        assert report["only_predicted_classes"] == report["only_true_classes"] == []
        assert report["matched_classes"]["counts"]["published"] == len(spelt)


def test_names_with_commas_are_told_in_quotes(write: WriteSet) -> None:
    ours, theirs = read_vocabulary("ade20k-150"), published("ade20k-150", ADE20K)
    report = frozenseg_label.evaluate(write("p", theirs, [6, 7]), write("t", ours, [6, 7]))
    assert any("('road, route' = road, 'window ' = windowpane, " in note for note in report.notes)


def test_the_ways_are_told_one_line_each_and_the_classes_with_v(
    write: WriteSet, caplog: pytest.LogCaptureFixture
) -> None:
    truth = write("truth", parse_classes("tree: stuff, cat | kitty"), [1, 2])
    predicted = write("predicted", parse_classes("tree-merged: stuff, kitty"), [1, 2])
    assert main(["evaluate", str(predicted), str(truth)]) == 0
    assert f"1 classes of {predicted} are known by a synonym (kitty = cat)" in caplog.messages
    assert sum("tree-merged = tree" in message for message in caplog.messages) == 1
    assert "class kitty is cat: by a synonym" not in caplog.messages
    assert main(["evaluate", str(predicted), str(truth), "-v"]) == 0
    assert "class kitty is cat: by a synonym" in caplog.messages


@pytest.mark.parametrize("kind", [True, False])
def test_a_truth_with_one_kind_for_all_takes_the_kinds_of_the_predictions_and_tells_it(
    kind: bool, write: WriteSet
) -> None:
    words = parse_classes("cat, dog, sky: stuff")
    flat = Vocabulary("flat", tuple(replace(c, is_thing=kind) for c in words.categories))
    predicted, truth = write("p", words, [1, 2, 3]), write("t", flat, [1, 2, 3])
    report = frozenseg_label.evaluate(predicted, truth)
    assert figures(report) == {"all": (3, 1.0), "things": (2, 1.0), "stuff": (1, 1.0)}
    assert any(f"the kinds of {predicted} count" in note for note in report.notes)
    other = frozenseg_label.evaluate(truth, predicted)  # the other way round, the truth has kinds
    assert figures(other) == figures(report)
    assert any(f"the kinds of {predicted} count" in note for note in other.notes)


def test_of_two_sets_that_both_tell_kinds_those_of_the_truth_count(write: WriteSet) -> None:
    predicted = write("p", parse_classes("cat: stuff, dog, sky: stuff"), [1, 2, 3])
    truth = write("t", parse_classes("cat, dog, sky: stuff"), [1, 2, 3])
    report = frozenseg_label.evaluate(predicted, truth)
    assert figures(report)["things"] == (2, 1.0)
    assert report.matched_classes.other_kind == ("cat",)
    assert any(
        f"1 classes are things in {predicted} and stuff in {truth}" in note for note in report.notes
    )


def test_what_is_unmatched_is_missed_as_ever_and_told_with_similar_names(write: WriteSet) -> None:
    predicted = write("p", parse_classes("cat, sofa bed"), [1, 2])
    truth = write("t", parse_classes("cat, bed"), [1, 2])
    report = frozenseg_label.evaluate(predicted, truth)
    assert figures(report)["all"] == (2, 0.5)
    said = "\n".join(report.notes)
    assert f"1 classes are in {predicted} only (sofa bed (like 'bed'?)); what they cover" in said
    assert f"1 classes are in {truth} only (bed (like 'sofa bed'?)); where they occur" in said
    assert "--class-map FILE says which are the same" in said
    assert report.matched_classes.unmatched == {"sofa bed": ("bed",)}


def test_a_class_map_says_what_is_the_same_in_either_direction(write: WriteSet) -> None:
    predicted = write("p", parse_classes("cat, sofa bed"), [1, 2])
    truth = write("t", parse_classes("cat, bed"), [1, 2])
    for said in ({"sofa bed": "bed"}, {"bed": "sofa bed"}):
        report = frozenseg_label.evaluate(predicted, truth, class_map=said)
        assert figures(report)["all"] == (2, 1.0)


def test_stuff_that_two_classes_share_is_one_segment(
    tmp_path: Path, make_map: MakeMap, make_set: MakeSet
) -> None:
    fine = parse_classes("brick wall: stuff, stone wall: stuff, cat")
    coarse = parse_classes("wall | brick wall | stone wall: stuff, cat")
    parts, whole = make_map([[1, 2, 3]], {1: 1, 2: 2, 3: 3}), make_map([[1, 1, 3]], {1: 1, 3: 2})
    predicted = make_set(tmp_path / "fine", {"a.jpg": parts}, fine)
    truth = make_set(tmp_path / "coarse", {"a.jpg": whole}, coarse)
    report = frozenseg_label.evaluate(predicted, truth)
    assert report.matched_classes.merged == {"wall": ("brick wall", "stone wall")}
    assert figures(report)["all"] == (2, 1.0)


def test_true_classes_are_one_where_the_class_map_says_so(write: WriteSet) -> None:
    predicted = write("p", parse_classes("person, dog"), [1, 1, 2])
    truth = write("t", parse_classes("man, woman, dog"), [1, 2, 3])
    assert figures(frozenseg_label.evaluate(predicted, truth))["all"] == (3, pytest.approx(1 / 3))
    said = {"man": "person", "woman": "person"}
    report = frozenseg_label.evaluate(predicted, truth, class_map=said)
    assert figures(report)["all"] == (2, 1.0)
    assert [row.name for row in report.classes] == ["person", "dog"]


def test_classes_that_are_left_out_are_void_and_counted(
    write: WriteSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted = write("p", parse_classes("cat, ufo, grass: stuff"), [1, 2, 3])
    truth = write("t", parse_classes("cat, dog, grass: stuff"), [1, 2, 3])
    (tmp_path / "map.yaml").write_text("dog: null\nufo: null\n")
    command = ["evaluate", str(predicted), str(truth), "--class-map", str(tmp_path / "map.yaml")]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["groups"]["all"]["pq"] == 1.0
    assert report["left_out_pixels"] == 1
    assert report["unlabelled_truth"] == pytest.approx(1 / 3)
    assert report["matched_classes"]["ignored"] == ["ufo"]


def test_a_class_map_cannot_leave_out_all_or_name_what_is_not_there() -> None:
    words = parse_classes("cat, dog")
    with pytest.raises(FormatError, match="leaves out all classes"):
        match_vocabularies(words, words, class_map={"cat": None, "dog": None})
    with pytest.raises(FormatError, match="'hound', which is no class of"):
        match_vocabularies(parse_classes("cat"), words, class_map={"dog": "hound"})


def test_a_review_takes_no_class_map(tmp_path: Path) -> None:
    command = ["evaluate", str(tmp_path), "--reviewed", "--class-map", "x.yaml"]
    assert main(command) == 2
