"""An export of some segments comes back: the others are nobody's to judge."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as run_lengths

from frozenseg_label.errors import RunError
from frozenseg_label.exchange.export_labels import export_labels
from frozenseg_label.exchange.import_labels import ImportForm, ImportSummary, import_labels
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

CAT, DOG = 1, 2
IMAGE = "a/1.png"


def rows() -> NDArray[np.int32]:
    """Two sure cats, a doubtful cat in the middle and a doubtful dog below."""
    ids = np.zeros((20, 30), dtype=np.int32)
    ids[2:10, 1:8] = 1
    ids[2:10, 10:18] = 2
    ids[2:10, 20:28] = 3
    ids[12:18, 5:25] = 4
    return ids


@pytest.fixture
def out(
    tmp_path: Path,
    make_manifest: Callable[..., Manifest],
    make_image: Callable[..., ImageRecord],
    make_map: Callable[..., PanopticMap],
) -> Path:
    classes = {1: CAT, 2: CAT, 3: CAT, 4: DOG}
    made = make_map(rows().tolist(), {id_: (c, "proposed") for id_, c in classes.items()})
    scores = {1: 0.9, 2: 0.3, 3: 0.9, 4: 0.2}
    segments = tuple(replace(segment, score=scores[segment.id]) for segment in made.segments)
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        for record in run.plan([make_image(IMAGE)]).todo:
            run.commit(record, PanopticMap(made.ids, segments))
        run.finish()
    return tmp_path / "out"


def accept(out: Path, *ids: int) -> None:
    with RunFolder.open_to_correct(out) as run:
        entry, labels = run.entry(IMAGE), run.read_map(IMAGE)
        assert entry is not None
        segments = (replace(s, state="accepted") if s.id in ids else s for s in labels.segments)
        corrected = PanopticMap(labels.ids, tuple(segments))
        run.correct(run.record(entry), corrected, state="in review")
        run.finish()


def labels_of(out: Path) -> tuple[NDArray[np.int32], dict[int, Segment]]:
    with RunFolder.read(out) as run:
        found = run.read_map(IMAGE)
    found.check()
    return found.ids, {segment.id: segment for segment in found.segments}


def state_of(out: Path) -> str:
    with RunFolder.read(out) as run:
        entry = run.entry(IMAGE)
        assert entry is not None
        assert entry.labels is not None
        return entry.labels.state


def counts(summary: ImportSummary) -> dict[str, int]:
    names = ("accepted", "changed_class", "reshaped", "added", "removed", "kept")
    return {name: getattr(summary, name) for name in names if getattr(summary, name)}


@pytest.mark.parametrize("form", get_args(ImportForm))
def test_what_was_not_exported_stays_proposed(form: ImportForm, out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / form, form, min_score=0.5)
    summary = import_labels(out, tmp_path / form, form=form)
    assert counts(summary) == {"accepted": 2, "kept": 2}
    ids, segments = labels_of(out)
    assert np.array_equal(ids, rows())
    states = {id_: segment.state for id_, segment in segments.items()}
    assert states == {1: "accepted", 2: "proposed", 3: "accepted", 4: "proposed"}
    assert state_of(out) == "in review"
    assert import_labels(out, tmp_path / form, form=form).images == 0


def test_a_persons_segments_leave_and_come_back_beside_proposals(out: Path, tmp_path: Path) -> None:
    accept(out, 4)
    export_labels(out, tmp_path / "cvat", "cvat", only="accepted")
    assert counts(import_labels(out, tmp_path / "cvat", form="cvat")) == {"kept": 3}
    states = {id_: segment.state for id_, segment in labels_of(out)[1].items()}
    assert states == {1: "proposed", 2: "proposed", 3: "proposed", 4: "accepted"}


def test_an_accepted_segment_of_a_low_score_is_not_lost(out: Path, tmp_path: Path) -> None:
    accept(out, 2)
    export_labels(out, tmp_path / "coco", "coco-panoptic", min_score=0.5)
    summary = import_labels(out, tmp_path / "coco", form="coco-panoptic")
    assert counts(summary) == {"accepted": 2, "kept": 2}
    assert labels_of(out)[1][2].state == "accepted"


def test_labels_that_are_elsewhere_need_the_name_of_the_export(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "coco", "coco-instances", min_score=0.5)
    (tmp_path / "downloads").mkdir()
    moved = (tmp_path / "coco" / "instances.json").rename(tmp_path / "downloads" / "mine.json")
    with pytest.raises(RunError, match="downloads: no export was written there"):
        import_labels(out, moved, form="coco-instances", exported=moved.parent)
    summary = import_labels(out, moved, form="coco-instances", exported=tmp_path / "coco")
    assert counts(summary) == {"accepted": 2, "kept": 2}


def test_what_the_run_lost_since_is_not_made_again_and_what_it_got_since_stays(
    out: Path, tmp_path: Path
) -> None:
    export_labels(out, tmp_path / "coco", "coco-panoptic", min_score=0.5)
    with RunFolder.open_to_correct(out) as run:
        entry, labels = run.entry(IMAGE), run.read_map(IMAGE)
        assert entry is not None
        ids = np.where(labels.ids == 2, 7, labels.ids)  # a person drew it anew
        drawn = Segment(7, DOG, is_thing=True, state="edited")
        kept = [segment for segment in labels.segments if segment.id != 2]
        run.correct(run.record(entry), PanopticMap.of(ids, [*kept, drawn]), state="in review")
        run.finish()
    summary = import_labels(out, tmp_path / "coco", form="coco-panoptic")
    assert counts(summary) == {"accepted": 2, "kept": 2}
    assert labels_of(out)[1][7].state == "edited"


def draw(out: Path, tmp_path: Path, category: int, mask: NDArray[np.bool_]) -> ImportSummary:
    """Export the sure segments, draw another one over what is there, and import."""
    export_labels(out, tmp_path / "coco", "coco-instances", min_score=0.5)
    path = tmp_path / "coco" / "instances.json"
    document = json.loads(path.read_text())
    counted = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
    segmentation = {"size": list(mask.shape), "counts": counted["counts"].decode()}
    document["annotations"].append(
        {"image_id": 1, "category_id": category, "segmentation": segmentation}
    )
    path.write_text(json.dumps(document))
    return import_labels(out, path, form="coco-instances")


def test_who_draws_a_segment_that_was_left_out_corrects_it(out: Path, tmp_path: Path) -> None:
    mask = rows() == 2
    mask[9] = False
    assert counts(draw(out, tmp_path, CAT, mask)) == {"accepted": 2, "reshaped": 1, "kept": 1}
    ids, segments = labels_of(out)
    assert np.array_equal(ids == 2, mask)
    assert segments[2].state == "accepted"
    assert not (ids[9, 10:18]).any()


def test_another_class_over_a_segment_that_was_left_out_takes_its_pixels_only(
    out: Path, tmp_path: Path
) -> None:
    mask = rows() == 2
    mask[9] = False
    assert counts(draw(out, tmp_path, DOG, mask)) == {"accepted": 2, "added": 1, "kept": 2}
    ids, segments = labels_of(out)
    assert segments[2].category_id == CAT
    assert (segments[2].state, segments[2].area) == ("proposed", 8)
    (drawn,) = set(np.unique(ids[mask]).tolist())
    assert drawn not in rows()
    assert segments[drawn].category_id == DOG
