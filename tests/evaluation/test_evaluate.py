"""`frozenseg_label.evaluate` on two sets of labels, from disk to report."""

from collections.abc import Callable
from pathlib import Path

import pytest

import frozenseg_label
from frozenseg_label.errors import RunError
from frozenseg_label.evaluation.confusions import Confusion
from frozenseg_label.formats.class_png import class_indices, classes_file, encode_class_png
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

MakeMap = Callable[..., PanopticMap]
MakeSet = Callable[..., Path]
CAT, DOG, SKY = 1, 2, 3


@pytest.fixture
def truth(tmp_path: Path, make_map: MakeMap, make_set: MakeSet) -> Path:
    cat_in_the_sky = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY})
    return make_set(tmp_path / "truth", {"good.jpg": cat_in_the_sky, "bad.jpg": cat_in_the_sky})


@pytest.fixture
def predicted(tmp_path: Path, make_map: MakeMap, make_set: MakeSet) -> Path:
    """One image as it should be, one whose cat was called a dog and whose sky is half missing."""
    good = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY}, scores={1: 0.9, 2: 0.9})
    bad = make_map([[1, 1, 2, 0]], {1: DOG, 2: SKY}, scores={1: 0.9, 2: 0.9})
    return make_set(tmp_path / "predicted", {"good.jpg": good, "bad.jpg": bad})


def write_run(folder: Path, vocabulary: Vocabulary, maps: dict[str, PanopticMap]) -> Path:
    """A run folder, labelled with weights that have seen cats."""
    manifest = Manifest.of(
        tool_version="0",
        arguments={},
        weights="nano",
        weights_fingerprint="x",
        vocabulary=vocabulary,
        seen_names=["cat"],
        options={},
    )
    with RunFolder.open_or_create(folder, manifest) as run:
        for name, made in maps.items():
            path = folder.parent / name
            path.write_bytes(b"pixels")
            run.commit(ImageRecord(path, name, 6, 0), made)
        run.finish()
    return folder


def test_every_figure_of_a_small_set(predicted: Path, truth: Path) -> None:
    report = frozenseg_label.evaluate(predicted, truth)
    every = report.groups["all"]
    # cat: one pair, one missed; dog: one spurious; sky: one pair, a half of another (IoU .5).
    assert every.pq == pytest.approx((2 / 3 + 0 + 0.5) / 3)
    assert every.rq == pytest.approx((2 / 3 + 0 + 0.5) / 3)
    assert every.sq == pytest.approx(2 / 3)
    assert every.miou == pytest.approx((0.5 + 0.75) / 2)  # dog has no true pixels
    assert every.fwiou == pytest.approx((0.5 * 4 + 0.75 * 4) / 8)
    assert every.ap50 == pytest.approx(0.5, abs=0.01)
    assert (every.recall50, every.recall75) == (1.0, 0.75)
    assert (every.classes, every.segments) == (3, 4)
    assert report.groups["things"].pq == pytest.approx(1 / 3)
    assert report.groups["stuff"].pq == pytest.approx(0.5)
    assert report.confused_segments == (Confusion("dog", "cat", 1),)
    assert report.confused_pixels == (Confusion("dog", "cat", 2),)
    assert report.unlabelled_predicted == pytest.approx(1 / 8)
    assert [(row.name, row.paired, row.missed, row.spurious) for row in report.classes] == [
        ("cat", 1, 1, 0),
        ("dog", 0, 0, 1),
        ("sky", 1, 1, 1),
    ]


def test_the_worst_images_come_first_and_no_more_than_asked_for(
    predicted: Path, truth: Path
) -> None:
    worst = frozenseg_label.evaluate(predicted, truth).worst
    assert [(image.name, image.quality) for image in worst] == [("bad.jpg", 0.0), ("good.jpg", 1.0)]
    assert len(frozenseg_label.evaluate(predicted, truth, worst=1).worst) == 1


def test_a_set_agrees_with_itself(truth: Path) -> None:
    report = frozenseg_label.evaluate(truth, truth)
    for figures in report.groups.values():
        assert (figures.pq, figures.miou, figures.fwiou, figures.boundary_iou) == (1, 1, 1, 1)
        assert figures.recall90 == 1
        assert figures.ap is None
    assert "the predictions carry no scores: no mask AP" in report.notes


def test_a_runs_manifest_splits_classes_into_seen_and_unseen(
    tmp_path: Path, truth: Path, make_map: MakeMap, vocabulary: Vocabulary
) -> None:
    good = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY}, scores={1: 0.9, 2: 0.9})
    run = write_run(tmp_path / "run", vocabulary, {"good.jpg": good})
    report = frozenseg_label.evaluate(run, truth)
    assert list(report.groups) == ["all", "things", "stuff", "seen", "unseen"]
    assert report.groups["seen"].classes == report.groups["unseen"].classes == 1
    assert {row.name: row.seen for row in report.classes} == {"cat": True, "sky": False}
    assert not any("no figures of seen" in note for note in report.notes)
    assert any(f"1 images are only in {truth}" in note for note in report.notes)
    assert (report.images, report.only_true_images) == (1, 1)


def test_without_a_manifest_there_is_no_split_and_it_is_said(predicted: Path, truth: Path) -> None:
    report = frozenseg_label.evaluate(predicted, truth)
    assert list(report.groups) == ["all", "things", "stuff"]
    assert any("no figures of seen" in note for note in report.notes)


def test_proposals_that_serve_as_truth_are_pointed_out(
    tmp_path: Path, predicted: Path, make_map: MakeMap, vocabulary: Vocabulary
) -> None:
    good = make_map([[1, 1, 2, 2]], {1: CAT, 2: SKY})
    run = write_run(tmp_path / "run", vocabulary, {"good.jpg": good})
    report = frozenseg_label.evaluate(predicted, run)
    assert any("1 of the 1 images have not been reviewed" in note for note in report.notes)


def test_a_class_that_the_truth_does_not_know_is_in_no_mean_but_misses_what_it_covers(
    tmp_path: Path, truth: Path, make_map: MakeMap, make_set: MakeSet, vocabulary: Vocabulary
) -> None:
    more = Vocabulary("more", (*vocabulary.categories, Category("kitten", 9)))
    kitten = make_map([[1, 1, 2, 2]], {1: 9, 2: SKY})
    predicted = make_set(tmp_path / "p", {"good.jpg": kitten}, more)
    report = frozenseg_label.evaluate(predicted, truth)
    assert report.only_predicted_classes == ("kitten",)
    assert report.groups["all"].pq == pytest.approx(0.5)  # cat 0, sky 1
    assert report.confused_segments == (Confusion("kitten", "cat", 1),)
    assert [row.name for row in report.classes] == ["cat", "sky"]


def test_class_pngs_have_figures_of_pixels_only_and_it_is_said(
    tmp_path: Path, truth: Path, make_map: MakeMap, vocabulary: Vocabulary
) -> None:
    folder = tmp_path / "class-png"
    folder.mkdir()
    made = make_map([[1, 2, 3, 3]], {1: CAT, 2: DOG, 3: SKY})
    png = encode_class_png(class_indices(made, vocabulary), vocabulary)
    (folder / "good.png").write_bytes(png)
    (folder / "classes.json").write_bytes(classes_file(vocabulary))
    report = frozenseg_label.evaluate(folder, truth)
    every = report.groups["all"]
    assert (every.miou, every.pq, every.ap, every.recall50) == (0.75, None, None, None)
    assert report.groups["stuff"].miou == 1.0  # the truth says what is stuff
    assert any("no PQ, AP and mask recall" in note for note in report.notes)
    assert report.worst[0].quality == 0.75


def test_a_page_shows_the_worst_images(predicted: Path, truth: Path, tmp_path: Path) -> None:
    report = frozenseg_label.evaluate(predicted, truth, html=tmp_path / "page", worst=1)
    assert report.html == tmp_path / "page" / "index.html"
    text = report.html.read_text(encoding="utf-8")
    assert "bad.jpg" in text
    assert "good.jpg" not in text
    assert "dog where the truth is cat: 2 pixels" in text


def test_what_makes_no_sense_is_refused(truth: Path) -> None:
    with pytest.raises(ValueError, match="either true labels"):
        frozenseg_label.evaluate(truth, truth, reviewed=True)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="worst must be at least 0"):
        frozenseg_label.evaluate(truth, truth, worst=-1)
    with pytest.raises(RunError, match="no run folder"):
        frozenseg_label.evaluate(truth, reviewed=True)


def test_a_broken_png_is_told_by_name(predicted: Path, truth: Path) -> None:
    (predicted / "panoptic" / "bad.png").write_bytes(b"torn")
    report = frozenseg_label.evaluate(predicted, truth)
    [fault] = report.faults
    assert "bad.png: no whole PNG" in fault
    assert report.images == 1
