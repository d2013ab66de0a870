"""Several people at one run: their names in the journal, and images dealt out among them."""

from pathlib import Path

import pytest

from frozenseg_label.cli import main
from frozenseg_label.errors import ReviewError
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.part import Part
from frozenseg_label.review.app.fiftyone_dataset import open_dataset
from frozenseg_label.review.app.views import MOST_DOUBTFUL, name_of_view
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import image_of, open_in_fiftyone, segment_of


def relabel(dataset, image: str, reviewer: str | None = None) -> None:  # noqa: ANN001
    sample = image_of(dataset, image)
    segment_of(sample, 2).label = "dog"
    sample["reviewer"] = reviewer
    sample.save()


def users(out: Path) -> dict[str, str | None]:
    with RunFolder.read(out) as run:
        return {entry.image: entry.user for _, entry in run.history() if entry.event == "reviewed"}


def test_the_name_goes_into_the_journal_with_each_correction(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    relabel(dataset, "a.png")
    save_review(out)
    relabel(dataset, "b.png")
    relabel(dataset, "c.png", reviewer="Bo")  # as our operators write it in Bo's App
    save_review(out, user="Anna")
    assert users(out) == {"a.png": None, "b.png": "Anna", "c.png": "Bo"}
    assert image_of(dataset, "c.png")["reviewer"] is None  # the next one may be somebody else
    assert '"user"' not in (out / "journal.jsonl").read_text().splitlines()[0]


def test_a_part_brings_in_its_images_only_and_has_views_of_its_own(out: Path) -> None:
    mine = next(part for part in (Part(1, 2), Part(2, 2)) if part.has("a.png"))
    expected = [image for image in ("a.png", "b.png", "c.png") if mine.has(image)]
    with RunFolder.read(out) as run:
        dataset = open_dataset(run, part=mine).dataset
    assert sorted(dataset.values("image")) == expected
    relabel(dataset, "a.png")
    dataset = open_in_fiftyone(out).dataset  # another person opens all of it
    assert len(dataset) == 3
    relabel(dataset, "b.png")
    assert [image.image for image in save_review(out).images] == ["a.png", "b.png"]
    view = dataset.load_saved_view(name_of_view(MOST_DOUBTFUL, mine))
    assert sorted(view.values("image")) == expected
    assert len(dataset.load_saved_view(MOST_DOUBTFUL)) == 3


def test_a_part_without_images_is_told(out: Path) -> None:
    empty = next(
        part
        for part in (Part(number, 50) for number in range(1, 51))
        if not any(map(part.has, ("a.png", "b.png", "c.png")))
    )
    with RunFolder.read(out) as run, pytest.raises(ReviewError, match="none of its 3 images"):
        open_dataset(run, part=empty)


def test_a_save_tells_what_another_person_saved_otherwise_before(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = open_in_fiftyone(out).dataset
    relabel(dataset, "a.png")  # to a dog, as Bo
    with RunFolder.open_to_correct(out) as run:  # Anna, on another machine
        entry = run.entry("a.png")
        assert entry is not None
        image = run.read_map("a.png")
        segments = tuple(s.accepted() if s.id == 2 else s for s in image.segments)
        annas = PanopticMap(image.ids, segments)
        run.correct(run.record(entry), annas, state="in review", user="Anna")
    assert main(["review", f"{out}", "--save", "--user", "Bo"]) == 0
    said = capsys.readouterr().out
    assert "segment 2: Anna had saved cat before, which stays; yours was dog" in said
    assert segment_of(image_of(dataset, "a.png"), 2).label == "cat"  # so he may look again
