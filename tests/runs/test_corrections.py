"""What a person did outlives every later run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.errors import ImageError
from frozenseg_label.formats.coco_panoptic import read_panoptic_png
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

CAT, DOG, SKY = 1, 2, 3


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def record(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> ImageRecord:
    """An image on which a person accepted a cat, rejected a dog, and left sky alone."""
    image = make_image("a.jpg")
    proposed = make_map(
        [[1, 1, 2, 2], [3, 3, 3, 3]],
        {1: (CAT, "proposed"), 2: (DOG, "proposed"), 3: (SKY, "proposed")},
    )
    reviewed = make_map(
        [[1, 1, 2, 2], [3, 3, 3, 3]],
        {1: (CAT, "accepted"), 2: (DOG, "rejected"), 3: (SKY, "proposed")},
    )
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(image, proposed)
        run.correct(image, reviewed, state="in review")
    return image


def last(run: RunFolder) -> Entry:
    [entry] = run.entries()
    return entry


def test_a_correction_is_written_and_the_models_own_map_kept(
    out: Path, record: ImageRecord, make_manifest: MakeManifest
) -> None:
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.read_map("a.jpg").ids.tolist() == [[1, 1, 0, 0], [3, 3, 3, 3]]
        entry = last(run)
        assert run.plan([record]).todo == ()
        run.finish()
    assert entry.event == "reviewed"
    assert entry.labels is not None
    assert [memory.category for memory in entry.labels.rejected] == ["dog"]
    kept = read_panoptic_png(out / "proposed" / "a.png")
    assert kept.tolist() == [[1, 1, 2, 2], [3, 3, 3, 3]]
    [annotation] = read_coco_panoptic(out / "panoptic.json", trust_states=True).annotations
    assert annotation.state == "in review"


def test_an_update_replaces_proposals_and_nothing_else(
    out: Path, record: ImageRecord, make_manifest: MakeManifest, make_map: MakeMap
) -> None:
    better = make_map(
        [[5, 5, 6, 6], [7, 7, 7, 7]],
        {5: (DOG, "proposed"), 6: (DOG, "proposed"), 7: (CAT, "proposed")},
    )
    with RunFolder.open_or_create(out, make_manifest(weights="large"), update=True) as run:
        assert run.plan([record]).reasons == {"outdated": 1}
        fused = run.commit(record, better)
        assert np.array_equal(run.read_map("a.jpg").ids, fused.ids)
        entry = last(run)
    # The accepted cat keeps its place; the rejected dog stays away; sky gave way.
    assert fused.ids.tolist() == [[1, 1, 0, 0], [7, 7, 7, 7]]
    assert {segment.id: segment.category_id for segment in fused.segments} == {1: CAT, 7: CAT}
    assert entry.labels is not None
    assert (entry.labels.state, len(entry.labels.rejected)) == ("in review", 1)
    kept = read_panoptic_png(out / "proposed" / "a.png")
    assert np.array_equal(kept, better.ids)


def test_corrections_follow_their_names_into_another_vocabulary(
    out: Path, record: ImageRecord, make_manifest: MakeManifest, make_map: MakeMap
) -> None:
    words = Vocabulary("words", (Category("bird", 1), Category("dog", 5), Category("cat", 9)))
    proposal = make_map(
        [[4, 4, 8, 8], [0, 0, 0, 0]], {4: (1, "proposed"), 8: (5, "proposed")}, words
    )
    with RunFolder.open_or_create(out, make_manifest(vocabulary=words), update=True) as run:
        run.commit(record, proposal)
        [cat] = run.read_map("a.jpg").segments
    assert (cat.id, cat.category_id, cat.state) == (1, 9, "accepted")


def test_a_reviewed_image_is_left_alone_by_an_update(
    out: Path, record: ImageRecord, make_manifest: MakeManifest
) -> None:
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.correct(record, run.read_map("a.jpg"), state="reviewed")
    with RunFolder.open_or_create(out, make_manifest(weights="large"), update=True) as run:
        assert run.plan([record]).todo == ()


def test_a_second_correction_keeps_the_first_proposal_and_all_memories(
    out: Path, record: ImageRecord, make_manifest: MakeManifest, make_map: MakeMap
) -> None:
    again = make_map([[1, 1, 0, 0], [3, 3, 3, 3]], {1: (CAT, "rejected"), 3: (SKY, "edited")})
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.correct(record, again, state="reviewed")
        entry = last(run)
    assert entry.labels is not None
    assert [memory.category for memory in entry.labels.rejected] == ["dog", "cat"]
    owned = [info for info in entry.labels.current.segments_info if info.state == "edited"]
    assert [info.id for info in owned] == [3]
    kept = read_panoptic_png(out / "proposed" / "a.png")
    assert kept.tolist() == [[1, 1, 2, 2], [3, 3, 3, 3]]


def test_a_failed_update_keeps_the_corrections(
    out: Path, record: ImageRecord, make_manifest: MakeManifest
) -> None:
    with RunFolder.open_or_create(out, make_manifest(weights="large"), update=True) as run:
        run.fail(record, "the disk was not there")
    with RunFolder.open_or_create(out, make_manifest(weights="large")) as run:
        assert run.read_map("a.jpg").segments[0].state == "accepted"


def test_an_image_that_changed_its_size_under_corrections_fails_and_keeps_them(
    out: Path, record: ImageRecord, make_manifest: MakeManifest, make_map: MakeMap
) -> None:
    with RunFolder.open_or_create(out, make_manifest()) as run:
        with pytest.raises(ImageError, match="is 1 x 1 now, and was 4 x 2"):
            run.commit(record, make_map([[1]], {1: (CAT, "proposed")}))
        assert run.read_map("a.jpg").segments[0].state == "accepted"


def test_corrections_whose_png_is_gone_are_not_overwritten(
    out: Path, record: ImageRecord, make_manifest: MakeManifest, make_map: MakeMap
) -> None:
    (out / "panoptic" / "a.png").unlink()
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.plan([record]).reasons == {"incomplete": 1}
        with pytest.raises(ImageError, match=r"a\.png.*corrections of a person"):
            run.commit(record, make_map([[1, 1, 1, 1]] * 2, {1: (CAT, "proposed")}))


def test_imported_labels_count_as_human_work(
    out: Path, make_image: MakeImage, make_manifest: MakeManifest, make_map: MakeMap
) -> None:
    image = make_image("b.jpg")
    imported = make_map([[1, 0, 0, 0]], {1: (CAT, "accepted")})
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.correct(image, imported, state="in review", event="imported")
        assert last(run).event == "imported"
        assert run.plan([image]).reasons == {"outdated": 1}  # no model has seen it yet
        fused = run.commit(image, make_map([[1, 1, 1, 1]], {1: (SKY, "proposed")}))
    assert fused.ids.tolist() == [[1, 2, 2, 2]]
