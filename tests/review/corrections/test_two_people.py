"""Two people open the same labels, each in an App of their own, and save one after the other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.review.corrections.correct_image import ImageReport, correct_image
from frozenseg_label.review.corrections.opened_labels import OpenedLabels, keep_opened
from frozenseg_label.review.corrections.regions import Region, ShownImage
from frozenseg_label.review.corrections.two_people import both_notes
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import MakeManifest, annotate, labels

Edit = Callable[[dict[int, Region]], None]


@pytest.fixture
def run_folder(tmp_path: Path, make_manifest: MakeManifest) -> Path:
    """Return a run of one image: sky 1 above, cat 2 and dog 3 below, void between them."""
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "photos" / "a.png")
    annotate(tmp_path, make_manifest(), labels())
    return tmp_path / "out"


def open_image(folder: Path) -> OpenedLabels:
    with RunFolder.read(folder) as run:
        entry = run.entry("a.png")
        assert entry is not None
        assert entry.labels is not None
        opened = keep_opened(run, "a.png", entry.labels)
    assert opened is not None
    return opened


def save(folder: Path, opened: OpenedLabels, edit: Edit, user: str) -> ImageReport:
    regions = {}
    for segment in opened.panoptic.segments:
        x, y, width, height = segment.bbox
        mask = opened.panoptic.ids[y : y + height, x : x + width] == segment.id
        name = opened.vocabulary.by_id(segment.category_id).name
        regions[segment.id] = Region(segment.id, name, mask, segment.bbox, note=segment.note)
    edit(regions)
    with RunFolder.open_to_correct(folder) as run:
        entry = run.entry("a.png")
        assert entry is not None
        assert entry.labels is not None
        shown = ShownImage(tuple(regions.values()))
        report = correct_image(run, entry, entry.labels, opened, shown, user)
    assert report is not None
    assert report.problem is None
    return report


def change(id_: int, **facts: object) -> Edit:
    def edit(regions: dict[int, Region]) -> None:
        regions[id_] = replace(regions[id_], **facts)  # type: ignore[arg-type]

    return edit


def drawn(label: str, id_: int | None, x: int, y: int, width: int, height: int) -> Edit:
    """Draw a rectangle, as a new segment or as what a segment is now."""

    def edit(regions: dict[int, Region]) -> None:
        mask = np.ones((height, width), np.bool_)
        regions[id_ or -1] = Region(id_, label, mask, (x, y, width, height))

    return edit


def segments(folder: Path) -> dict[int, tuple[str, str]]:
    with RunFolder.read(folder) as run:
        found = run.read_map("a.png").segments
        return {s.id: (run.vocabulary.by_id(s.category_id).name, s.state) for s in found}


accept, reject = {"tags": {"accepted"}}, {"tags": {"rejected"}}
PROPOSED = {1: ("sky", "proposed"), 2: ("cat", "proposed"), 3: ("dog", "proposed")}


def test_what_only_one_of_them_changed_counts(run_folder: Path) -> None:
    opened = open_image(run_folder)
    save(run_folder, opened, change(2, label="dog"), "Anna")
    bos = save(run_folder, opened, change(3, **reject), "Bo")
    assert [(one.kind, one.segment) for one in bos.changes] == [("rejected", 3)]
    assert bos.clashes == ()
    assert segments(run_folder) == {1: PROPOSED[1], 2: ("dog", "edited")}


@pytest.mark.parametrize(
    ("annas", "bos", "becomes"),
    [
        (change(2, **accept), change(2, **accept), ("cat", "accepted")),
        (change(2, label="dog"), change(2, label="dog"), ("dog", "edited")),
        (change(2, **reject), change(2, **reject), None),
        (change(2, **accept), drawn("cat", 2, 5, 22, 24, 16), ("cat", "edited")),
        (change(2, label="dog"), drawn("cat", 2, 5, 22, 24, 16), ("dog", "edited")),
        (change(2, note="tail?"), change(2, **accept), ("cat", "accepted")),
        (drawn("cat", 2, 5, 22, 24, 16), drawn("cat", 2, 5, 22, 24, 16), ("cat", "edited")),
    ],
    ids=["accept", "class", "reject", "accept, paint", "class, paint", "note, accept", "paint"],
)
def test_what_goes_together_counts(
    run_folder: Path, annas: Edit, bos: Edit, becomes: tuple[str, str] | None
) -> None:
    opened = open_image(run_folder)
    save(run_folder, opened, annas, "Anna")
    assert save(run_folder, opened, bos, "Bo").clashes == ()
    assert segments(run_folder).get(2) == becomes


@pytest.mark.parametrize(
    ("annas", "bos", "told", "becomes"),
    [
        (change(2, label="dog"), change(2, label="sky"), ("dog", "sky"), ("dog", "edited")),
        (change(2, label="dog"), change(2, **accept), ("dog", "cat"), ("dog", "edited")),
        (change(2, **accept), change(2, label="dog"), ("cat", "dog"), ("cat", "accepted")),
        (change(2, **accept), change(2, **reject), ("cat", "rejected"), ("cat", "accepted")),
        (change(2, **reject), change(2, **accept), ("gone", "cat"), None),
        (
            drawn("cat", 2, 5, 22, 28, 16),
            drawn("cat", 2, 5, 30, 20, 8),
            ("cat", "cat, painted"),
            ("cat", "edited"),
        ),
    ],
    ids=["classes", "class, accept", "accept, class", "accept, reject", "reject, accept", "paint"],
)
def test_where_they_disagree_the_first_one_stays_and_the_later_one_is_told(
    run_folder: Path,
    annas: Edit,
    bos: Edit,
    told: tuple[str, str],
    becomes: tuple[str, str] | None,
) -> None:
    opened = open_image(run_folder)
    save(run_folder, opened, annas, "Anna")
    with RunFolder.read(run_folder) as run:
        annas_pixels = run.read_map("a.png").ids
    report = save(run_folder, opened, bos, "Bo")
    assert [(one.segment, one.stays, one.given_up) for one in report.clashes] == [(2, *told)]
    assert report.other == "Anna"
    assert segments(run_folder).get(2) == becomes
    with RunFolder.read(run_folder) as run:
        assert np.array_equal(run.read_map("a.png").ids, annas_pixels)


def test_bo_may_change_it_once_he_sees_what_anna_saved(run_folder: Path) -> None:
    save(run_folder, open_image(run_folder), change(2, label="dog"), "Anna")
    report = save(run_folder, open_image(run_folder), change(2, label="sky"), "Bo")
    assert report.clashes == ()
    assert segments(run_folder)[2] == ("sky", "edited")


def test_a_stroke_takes_no_pixel_that_another_person_painted(run_folder: Path) -> None:
    opened = open_image(run_folder)
    save(run_folder, opened, drawn("cat", 2, 5, 22, 28, 16), "Anna")  # 8 columns more, of void
    report = save(run_folder, opened, drawn("dog", 3, 29, 22, 26, 16), "Bo")
    assert report.clashes == ()
    with RunFolder.read(run_folder) as run:
        ids = run.read_map("a.png").ids
    assert (ids[22:38, 5:33] == 2).all()
    assert (ids[22:38, 33:55] == 3).all()


def test_an_object_that_both_drew_is_there_once(run_folder: Path) -> None:
    opened = open_image(run_folder)
    save(run_folder, opened, drawn("cat", None, 26, 24, 8, 8), "Anna")
    report = save(run_folder, opened, drawn("dog", None, 26, 24, 8, 9), "Bo")
    assert [(one.stays, one.given_up) for one in report.clashes] == [("cat", "dog, drawn")]
    assert segments(run_folder) == PROPOSED | {4: ("cat", "edited")}


def test_two_notes_are_both_kept() -> None:
    assert both_notes("", "a tail?", "blurred") == "a tail?; blurred"
    assert both_notes("old", "old", "new") == "new"
    assert both_notes("old", "new", "old") == "new"
    assert both_notes("old", "new", "") == "new"
