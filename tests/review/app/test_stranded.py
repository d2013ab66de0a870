"""Corrections are found wherever they are, and nothing is made that could hide them."""

from pathlib import Path

import pytest

from frozenseg_label.errors import ReviewError
from frozenseg_label.images import find_images
from frozenseg_label.review.app import fiftyone_dataset
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import MakeManifest, image_of, open_in_fiftyone, segment_of


def datasets() -> list[str]:
    import fiftyone as fo

    return [name for name in fo.list_datasets() if name.startswith("frozenseg-")]


def relabel(dataset, image: str, label: str = "dog") -> None:  # noqa: ANN001
    sample = image_of(dataset, image)
    segment_of(sample, 2).label = label
    sample.save()


def test_pictures_that_are_away_make_no_dataset_and_are_told(out: Path) -> None:
    away = out.parent / "photos"
    away.rename(out.parent / "unmounted")
    with pytest.raises(ReviewError, match=f"none of its 3 .*there is no {away}"):
        open_in_fiftyone(out)
    assert datasets() == []
    (out.parent / "unmounted").rename(away)
    relabel(open_in_fiftyone(out).dataset, "a.png")
    assert len(save_review(out).images) == 1
    assert len(datasets()) == 1


def test_pictures_that_moved_after_the_first_opening_are_told(out: Path) -> None:
    relabel(open_in_fiftyone(out).dataset, "a.png")
    photos = out.parent / "photos"
    (photos / "b.png").rename(out.parent / "b.png")
    assert open_in_fiftyone(out).lost == {"b.png": f"{photos / 'b.png'}"}
    photos.rename(out.parent / "elsewhere")
    with pytest.raises(ReviewError, match=r"none of the 3 pictures .*corrections are kept"):
        open_in_fiftyone(out)
    assert len(save_review(out).images) == 1  # needs no pictures


def test_a_run_whose_images_all_failed_makes_no_dataset(
    tmp_path: Path, mongod: str, make_manifest: MakeManifest
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        [record] = find_images([tmp_path / "photos"])
        run.plan([record])
        run.fail(record, "cannot be read")
        run.finish()
    with pytest.raises(ReviewError, match=r"no image has labels .*failures\.jsonl"):
        open_in_fiftyone(tmp_path / "out")
    assert datasets() == []


def test_ctrl_c_in_the_first_moment_leaves_nothing_that_hides_corrections(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for moment in ("declare_fields", "follow_pictures", "show_classes"):
        with monkeypatch.context() as patch:
            patch.setattr(fiftyone_dataset, moment, interrupt)
            with pytest.raises(KeyboardInterrupt):
                open_in_fiftyone(out)
    relabel(open_in_fiftyone(out).dataset, "a.png")
    assert len(save_review(out).images) == 1
    assert open_in_fiftyone(out).dataset.persistent


def of_older_version(out: Path, name: str):  # noqa: ANN201 - FiftyOne has no types
    """Make an empty dataset of a run, as versions before 2026-11-30 did."""
    import fiftyone as fo

    dataset = fo.Dataset(name, persistent=True)
    fiftyone_dataset.declare_fields(dataset)
    with RunFolder.read(out) as run:
        fiftyone_dataset._describe(dataset, run)
    return dataset


def test_corrections_beside_an_empty_dataset_of_an_older_version_are_saved(out: Path) -> None:
    of_older_version(out, "frozenseg-0")  # FiftyOne lists it first
    dataset = open_in_fiftyone(out).dataset
    relabel(dataset, "a.png")
    [report] = save_review(out).images
    assert (report.image, report.problem) == ("a.png", None)
    assert open_in_fiftyone(out).dataset.name == dataset.name


def test_corrections_in_two_datasets_of_one_run_are_both_saved(out: Path) -> None:
    first = open_in_fiftyone(out).dataset
    second = first.clone("frozenseg-second", persistent=True)
    second.info, second.tags = first.info, first.tags
    second.save()
    relabel(first, "a.png")
    relabel(second, "b.png")
    relabel(second, "a.png", "cat")
    report = save_review(out)
    assert [image.image for image in report.images] == ["a.png", "b.png"]
    assert report.untouched == 1
    assert save_review(out).images == ()
    for dataset in (first, second):
        dataset.reload()
        assert segment_of(image_of(dataset, "a.png"), 2).label == "dog"
        assert segment_of(image_of(dataset, "b.png"), 2).label == "dog"
