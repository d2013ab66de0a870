"""Several label sets together: images, words, weights, and the words of the checkpoint."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from frozenseg_label.checkpoints.header import CheckpointInfo, TrainingCategory
from frozenseg_label.errors import TrainingError
from frozenseg_label.formats.coco_panoptic import png_name
from frozenseg_label.training.data.collect import (
    TrainingData,
    collect,
)
from frozenseg_label.training.data.targets import IGNORED
from frozenseg_label.training.data.words import class_weights, trained_categories
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import parse_classes, read_vocabulary
from tests.label_sets.published_names import COCO_PANOPTIC, published
from tests.training.small_sets import CAT, DOG, map_of, write_run, write_set


def collected(
    *sources: Path, words: Vocabulary | None = None, held_out: float = 0.0
) -> TrainingData:
    return collect(sources, None, words, held_out)


def write_animals(folder: Path, count: int = 2) -> Path:
    return write_set(folder, {f"{folder.name}-{i}.png": map_of([[1, 2, 3]]) for i in range(count)})


def test_several_sources_are_learnt_from_with_the_words_of_all(tmp_path: Path) -> None:
    farm = parse_classes("cow, Cat")
    cow = map_of([[1, 2]], {1: 1, 2: 2}, vocabulary=farm)
    data = collected(
        write_run(tmp_path / "out", {"1.png": map_of([[1, 2, 3]])}),
        write_set(tmp_path / "farm", {"2.png": cow}, vocabulary=farm),
    )
    assert [image.name for image in data.train] == ["1.png", "2.png"]
    assert [c.name for c in data.vocabulary.categories] == ["cat", "dog", "sky", "cow"]
    pictures = data.pictures(data.train, TrainSettings())
    assert [dict(truth.labels) for truth in pictures.truths] == [
        {1: 0, 2: 1, 3: 2},
        {1: 3, 2: 0},
    ]
    assert data.named_classes() == {"cat": 2, "dog": 1, "sky": 1, "cow": 1}


def test_held_out_images_teach_no_class(tmp_path: Path) -> None:
    data = collected(write_animals(tmp_path / "set", 9), held_out=0.5)
    assert len(data.train) + len(data.held_out) == 9
    assert data.named_classes()["cat"] == len(data.train)


def test_what_is_wrong_in_any_source_is_told_at_once(tmp_path: Path) -> None:
    first, second, third = (write_animals(tmp_path / name) for name in ("a", "b", "c"))
    (first / "panoptic" / png_name("a-0.png")).unlink()
    (second / "images" / "b-1.png").unlink()
    (third / "panoptic.json").write_text("{")
    with pytest.raises(TrainingError) as caught:
        collected(first, second, third)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + 3 + 1
    for fault in (
        "a-0.png is missing",
        "b-1.png: cannot be read, no such file",
        "c/panoptic.json: no whole",
    ):
        assert fault in str(caught.value)


def test_labels_that_nobody_corrected_are_refused(tmp_path: Path) -> None:
    labels = {"1.png": map_of([[1, 2]], states="proposed")}
    run = write_run(tmp_path / "out", labels, state="unseen")
    with pytest.raises(TrainingError, match="no segment that a person accepted or drew"):
        collected(run)


def test_corrections_that_only_refuse_are_refused(tmp_path: Path) -> None:
    labels = {"1.png": map_of([[1, 2]], states="rejected")}
    with pytest.raises(TrainingError, match="no segment that a person accepted or drew"):
        collected(write_run(tmp_path / "out", labels))


def test_a_single_class_is_trained_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        collected(write_set(tmp_path / "set", {"1.png": map_of([[1, 1]])}))
    assert "one class only (cat)" in caplog.text


def test_other_labels_or_words_give_another_fingerprint(tmp_path: Path) -> None:
    folder = write_animals(tmp_path / "set")
    before = collected(folder).fingerprint()
    assert collected(folder).fingerprint() == before
    assert collected(folder, words=parse_classes("cat, dog, sky:stuff")).fingerprint() != before
    content = (folder / "panoptic.json").read_text()
    for one, other in (('"accepted"', '"proposed"'), ('"reviewed"', '"in review"')):
        assert one in content
        (folder / "panoptic.json").write_text(content.replace(one, other, 1))
        assert collected(folder).fingerprint() == before  # states of other tools say nothing
    write_set(folder, {f"set-{i}.png": map_of([[1, 1, 3]]) for i in range(2)})
    assert collected(folder).fingerprint() != before


# Weights.


def test_a_class_weighs_the_more_the_rarer_it_is_up_to_a_limit() -> None:
    settings = TrainSettings(rare_class_power=0.5, max_rare_weight=4.0)
    weights = class_weights({"Cat": 100, "dog": 25, "newt": 1}, settings)
    assert weights == {"cat": 1.0, "dog": 2.0, "newt": 4.0}
    assert set(class_weights({"cat": 100, "dog": 1}, TrainSettings()).values()) == {1.0}


def test_rare_and_edited_targets_weigh_more_and_where_none_does_there_are_no_weights(
    tmp_path: Path,
) -> None:
    maps = {
        "1.png": map_of([[1, 2]], {1: CAT, 2: DOG}, {1: "accepted", 2: "edited"}),
        "2.png": map_of([[1, 2, 3]], {1: CAT, 2: CAT, 3: CAT}),
    }
    data = collected(write_run(tmp_path / "out", maps))
    settings = TrainSettings(rare_class_power=0.5, edited_weight=3.0)
    first, second = data.pictures(data.train, settings).truths
    assert first.weights == {1: 1.0, 2: 2.0 * 3.0}
    assert second.weights == {}


# The words of the checkpoint.

INFO = CheckpointInfo(
    builder="nano",
    categories=(
        TrainingCategory(names=("cat", "puss"), is_thing=True),
        TrainingCategory(names=("car",), is_thing=True),
    ),
    clip_hash="",
    sam_hash="",
    decoder_hash="",
    frozen_inside=True,
)


def test_a_checkpoint_has_seen_its_old_words_and_the_new_ones() -> None:
    words = parse_classes("kitten | cat, sky | heaven: stuff, dog")
    categories = trained_categories(INFO, words, {"kitten": 3, "sky": 1})
    assert [c.names for c in categories] == [
        ("cat", "puss", "kitten"),
        ("car",),
        ("sky", "heaven"),
    ]
    assert [c.is_thing for c in categories] == [True, True, False]


def test_classes_without_targets_are_not_seen_by_the_training() -> None:
    assert trained_categories(INFO, parse_classes("dog, cat"), {}) == INFO.categories


def test_training_again_on_the_same_words_adds_nothing() -> None:
    words = parse_classes("kitten | cat, sky: stuff")
    once = trained_categories(INFO, words, {"kitten": 1, "sky": 1})
    again = INFO.model_copy(update={"categories": once})
    assert trained_categories(again, words, {"kitten": 1, "sky": 1}) == once


def test_published_names_are_known_and_how_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = published("coco-panoptic-133", COCO_PANOPTIC)
    labels = map_of([[1, 2, 3]], {1: 118, 2: 138, 3: 184}, vocabulary=theirs)  # floor-wood, net, ..
    source = write_set(tmp_path / "coco", {"1.png": labels}, vocabulary=theirs)

    with caplog.at_level("INFO", "frozenseg_label"):
        data = collected(source, words=read_vocabulary("coco-panoptic-133"))

    assert data.named_classes() == {"wood floor": 1, "tennis net": 1, "tree": 1}
    assert data.classes[f"{source}"].counts == {"name": 101, "published": 32}
    assert "32 classes of" in caplog.text


def test_a_class_map_renames_classes_and_leaves_others_unknown(tmp_path: Path) -> None:
    theirs = parse_classes("cats, ufo, dog")
    labels = map_of([[1, 2, 3]], {1: 1, 2: 2, 3: 3}, vocabulary=theirs)
    source = write_set(tmp_path / "set", {"1.png": labels}, vocabulary=theirs)
    said = {"Cats": "cat", "ufo": None}
    for words in (parse_classes("cat, dog"), None):  # None: the words of the labels
        data = collect([source], None, words, 0.0, class_map=said)
        assert data.named_classes() == {"cat": 1, "dog": 1}
        assert [c.name for c in data.vocabulary.categories] == ["cat", "dog"]
        (image,) = data.train
        assert image.read_ids().tolist() == [[1, IGNORED, 3]]
        assert data.classes[f"{source}"].ignored == ("ufo",)


def test_what_no_word_means_is_told_with_similar_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = parse_classes("sofa bed, unicorn")
    labels = map_of([[1, 1]], {1: 1}, vocabulary=theirs)
    source = write_set(tmp_path / "set", {"1.png": labels}, vocabulary=theirs)
    with pytest.raises(TrainingError, match="class 'sofa bed' is not in the vocabulary"):
        collected(source, words=parse_classes("bed, cat"))
    assert "sofa bed (like 'bed'?); --class-map FILE says what they are" in caplog.text
    assert "unicorn" not in caplog.text  # no label says it


def test_another_colour_makes_another_class_that_is_told(tmp_path: Path) -> None:
    coco = read_vocabulary("coco-panoptic-133")
    tree = next(category for category in coco.categories if category.name == "tree")
    other = Vocabulary("other", (replace(tree, name="shrub", synonyms=(), color=(1, 2, 3)),))
    labels = map_of([[1]], {1: tree.id}, vocabulary=other)
    source = write_set(tmp_path / "other", {"1.png": labels}, vocabulary=other)
    with pytest.raises(TrainingError, match="class 'shrub' is not in the vocabulary"):
        collected(source, words=coco)
