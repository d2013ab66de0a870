"""The model against its reviewer."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import frozenseg_label
from frozenseg_label.errors import RunError
from frozenseg_label.evaluation.confusions import Confusion
from frozenseg_label.evaluation.evaluation_report import Outcomes
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, measure
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

MakeMap = Callable[..., PanopticMap]
CAT, DOG, SKY = 1, 2, 3


@pytest.fixture
def run(tmp_path: Path, vocabulary: Vocabulary) -> Iterator[RunFolder]:
    manifest = Manifest.of(
        tool_version="0",
        arguments={},
        weights="nano",
        weights_fingerprint="x",
        vocabulary=vocabulary,
        seen_names=[],
        options={},
    )
    with RunFolder.open_or_create(tmp_path / "run", manifest) as opened:
        yield opened


@pytest.fixture
def record(tmp_path: Path) -> ImageRecord:
    (tmp_path / "a.jpg").write_bytes(b"pixels")
    return ImageRecord(tmp_path / "a.jpg", "a.jpg", 6, 0)


def outcomes(run: RunFolder) -> dict[str, Outcomes]:
    run.finish()
    return frozenseg_label.evaluate(run.path, reviewed=True).classes


def test_every_kind_of_correction_is_told_apart(
    run: RunFolder, record: ImageRecord, make_map: MakeMap
) -> None:
    proposed = make_map(
        [[1, 1, 2, 2, 3, 3, 0, 0], [4, 4, 4, 4, 4, 4, 4, 4]], {1: CAT, 2: CAT, 3: DOG, 4: SKY}
    )
    # The first cat stays, the second is a dog, the dog goes, a cat comes, the sky loses two pixels.
    corrected = make_map(
        [[1, 1, 2, 2, 0, 0, 5, 5], [4, 4, 4, 4, 4, 4, 0, 0]], {1: CAT, 2: DOG, 4: SKY, 5: CAT}
    )
    run.commit(record, proposed)
    run.correct(record, corrected, state="reviewed")
    found = outcomes(run)
    assert found["cat"] == Outcomes(right=1, missed=1, pq=pytest.approx(0.5))
    assert found["dog"] == Outcomes(wrong_class=1, spurious=1)
    assert found["sky"] == Outcomes(moved=1, pq=pytest.approx(0.75))
    report = frozenseg_label.evaluate(run.path, reviewed=True)
    assert report.confused == (Confusion("cat", "dog", 1),)
    assert report.total.pq == pytest.approx((0.5 + 0 + 0.75) / 3)
    assert (report.total.right, report.total.spurious, report.images) == (1, 1, 1)


def test_what_a_person_took_away_is_spurious_though_nothing_stands_there(
    run: RunFolder, record: ImageRecord, make_map: MakeMap
) -> None:
    proposed = make_map([[1, 1, 2, 2]], {1: CAT, 2: DOG})
    rejected = replace(
        proposed,
        segments=tuple(
            replace(segment, state="rejected" if segment.id == 2 else "accepted")
            for segment in proposed.segments
        ),
    )
    run.commit(record, proposed)
    run.correct(record, rejected, state="reviewed")
    assert outcomes(run) == {
        "cat": Outcomes(right=1, pq=1.0),
        "dog": Outcomes(spurious=1),
    }


def test_a_rim_of_one_pixel_is_no_moved_boundary(
    run: RunFolder, record: ImageRecord, make_map: MakeMap
) -> None:
    def square(start: int, stop: int) -> PanopticMap:
        ids = np.zeros((100, 100), dtype=np.int32)
        ids[start:stop, start:stop] = 1
        segment = replace(make_map([[1]], {1: CAT}).segments[0])
        area, bbox = measure(ids)[1]
        return PanopticMap(ids, (replace(segment, area=area, bbox=bbox),))

    run.commit(record, square(10, 90))
    run.correct(record, square(9, 91), state="reviewed")
    assert outcomes(run)["cat"].right == 1
    run.correct(record, square(12, 88), state="reviewed")
    assert outcomes(run)["cat"].moved == 1


def test_stuff_of_which_a_person_owns_a_part_is_one_segment(
    run: RunFolder, record: ImageRecord, make_map: MakeMap
) -> None:
    run.commit(record, make_map([[1, 1, 1, 1]], {1: SKY}))
    run.correct(record, make_map([[1, 1, 2, 2]], {1: SKY, 2: SKY}), state="reviewed")
    assert outcomes(run) == {"sky": Outcomes(right=1, pq=1.0)}


def test_of_images_in_review_only_what_a_person_judged_counts(
    run: RunFolder, record: ImageRecord, make_map: MakeMap
) -> None:
    proposed = make_map(
        [[1, 1, 2, 2, 3, 3], [4, 4, 4, 4, 5, 5]], {1: CAT, 2: CAT, 3: DOG, 4: SKY, 5: DOG}
    )
    # The second cat becomes a dog and takes a pixel of the sky; the upper dog goes; the first cat,
    # the sky and the lower dog are as they were proposed.
    corrected = make_map(
        [[1, 1, 2, 2, 3, 3], [4, 4, 4, 2, 5, 5]], {1: CAT, 2: DOG, 3: DOG, 4: SKY, 5: DOG}
    )
    states = {2: "edited", 3: "rejected"}
    corrected = replace(
        corrected,
        segments=tuple(replace(s, state=states.get(s.id, s.state)) for s in corrected.segments),
    )
    run.commit(record, proposed)
    run.correct(record, corrected, state="in review")
    assert outcomes(run) == {"dog": Outcomes(wrong_class=1, spurious=1)}
    report = frozenseg_label.evaluate(run.path, reviewed=True)
    assert report.images == 1
    assert any("in review" in note for note in report.notes)


def test_images_that_nobody_looked_at_do_not_count(
    run: RunFolder, record: ImageRecord, make_map: MakeMap
) -> None:
    run.commit(record, make_map([[1, 1]], {1: CAT}))
    with pytest.raises(RunError, match=r"none of its 1 labelled images .*'a\.jpg'"):
        outcomes(run)


def test_images_that_no_model_labelled_are_not_judged(
    run: RunFolder, record: ImageRecord, make_map: MakeMap, tmp_path: Path
) -> None:
    made = make_map([[1, 1]], {1: CAT})
    run.correct(record, made, state="reviewed", event="imported")
    with pytest.raises(RunError, match="no model had labelled the 1 reviewed images"):
        outcomes(run)
    (tmp_path / "b.jpg").write_bytes(b"pixels")
    other = ImageRecord(tmp_path / "b.jpg", "b.jpg", 6, 0)
    run.commit(other, made)
    run.correct(other, made, state="reviewed")
    report = frozenseg_label.evaluate(run.path, reviewed=True)
    assert (report.images, report.unjudged) == (1, 1)
    assert report.notes


def test_a_page_shows_the_worst_images(
    run: RunFolder, record: ImageRecord, make_map: MakeMap, tmp_path: Path
) -> None:
    run.commit(record, make_map([[1, 1]], {1: CAT}))
    run.correct(record, make_map([[1, 1]], {1: DOG}), state="reviewed")
    run.finish()
    report = frozenseg_label.evaluate(run.path, reviewed=True, html=tmp_path / "page")
    assert report.html is not None
    assert "cat where the truth is dog: 2 pixels" in report.html.read_text(encoding="utf-8")
