"""What people corrected in a run helps to name the next images."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label import annotate, write_demo
from frozenseg_label.annotation.corrections import read_corrections
from frozenseg_label.annotation.label_images import load, predict
from frozenseg_label.annotation.remember import remember
from frozenseg_label.errors import RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.model.settings import EnsembleSettings, MergeSettings
from frozenseg_label.panoptic import HUMAN, PanopticMap, Segment
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary_files import parse_classes
from tests.annotation.conftest import label_by_hand

CLIP = "c1" * 32


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", f"{tmp_path / 'cache'}")


@pytest.fixture
def predictor(predictor: Predictor) -> Predictor:
    """The tiny model, never sure that there is nothing: its random weights give segments."""
    predictor.model.ensemble = EnsembleSettings(void_bias=-20.0)
    predictor.model.merge = MergeSettings(min_visible=0.0)
    return replace(predictor, clip=CLIP)


@pytest.fixture
def run(
    tmp_path: Path, records: list[ImageRecord], predictor: Predictor, manifest: Manifest
) -> Path:
    """A run folder with two images; nobody has corrected anything."""
    with RunFolder.open_or_create(tmp_path / "run", manifest) as folder:
        folder.plan(records)
        for record in records[:2]:
            label_by_hand([record], predictor, folder)
    return tmp_path / "run"


def correct_all(run: Path, record: ImageRecord, category: int) -> PanopticMap:
    """Give all segments of an image one class, as a person."""
    with RunFolder.open_to_correct(run) as folder:
        seen = folder.read_map(record.relative)
        segments = tuple(
            replace(segment.owned_by(HUMAN), category_id=category) for segment in seen.segments
        )
        folder.correct(record, PanopticMap(seen.ids, segments), state="reviewed")
    return seen


def accept(run: Path, place: int) -> None:
    """Accept all segments of one image, as a person."""
    with RunFolder.open_to_correct(run) as folder:
        entry = list(folder.entries())[place]
        seen = folder.read_map(entry.image)
        accepted = tuple(replace(segment, state="accepted") for segment in seen.segments)
        folder.correct(folder.record(entry), PanopticMap(seen.ids, accepted), state="reviewed")


def test_what_looks_like_a_corrected_segment_gets_its_class_in_the_next_image(
    run: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    before = correct_all(run, records[0], category=1)
    assert {segment.category_id for segment in before.segments} != {1}
    memory = remember(read_corrections([run], predictor.vocabulary, CLIP), predictor)
    image = load(records[0], predictor.model.input_size, None)  # the same things once more
    (after,) = predict([image], replace(predictor, memory=memory))
    assert {segment.category_id for segment in after.prediction.panoptic.segments} == {1}


def test_classes_of_a_run_are_found_by_their_names_and_others_are_told(
    run: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    correct_all(run, records[0], category=1)
    here = parse_classes("sofa, CAT")
    segments = read_corrections([run], here, CLIP).segments
    assert {here.categories[segment.place].name for segment in segments} == {"CAT"}
    with pytest.raises(RunError, match="cat are none of"):
        read_corrections([run], parse_classes("sofa, moon"), CLIP)


def test_proposals_are_no_memory(run: Path, predictor: Predictor) -> None:
    with pytest.raises(RunError, match="no corrected segment"):
        read_corrections([run], predictor.vocabulary, CLIP)


def test_what_a_machine_accepted_is_no_memory(
    run: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    with RunFolder.open_to_correct(run) as folder:
        seen = folder.read_map(records[0].relative)
        segments = tuple(
            replace(segment, state="accepted", accepted_by="calibrate 0.98")
            for segment in seen.segments
        )
        folder.correct(records[0], PanopticMap(seen.ids, segments), state="in review")
    with pytest.raises(RunError, match="no corrected segment"):
        read_corrections([run], predictor.vocabulary, CLIP)


def test_the_kept_vector_of_a_segment_is_taken_where_only_its_class_was_corrected(
    run: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    correct_all(run, records[0], category=1)
    with RunFolder.read(run) as folder:
        kept = folder.read_embeddings(next(folder.entries()))
    assert kept is not None
    for segment in read_corrections([run], predictor.vocabulary, CLIP).segments:
        assert np.array_equal(segment.vector, kept.segments[segment.id])


def test_vectors_of_another_clip_are_not_taken_but_made_from_the_pictures(
    run: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    correct_all(run, records[0], category=1)
    other = read_corrections([run], predictor.vocabulary, "d2" * 32)
    assert all(segment.vector is None for segment in other.segments)
    pooled = remember(other, replace(predictor, clip="d2" * 32))
    assert len(pooled.classes) == len(other.segments)
    records[0].path.unlink()  # what was pooled once is kept
    again = remember(other, replace(predictor, clip="d2" * 32))
    assert (again.vectors == pooled.vectors).all()


def test_a_segment_whose_picture_is_gone_is_left_out(
    run: Path, records: list[ImageRecord], predictor: Predictor
) -> None:
    correct_all(run, records[0], category=1)
    with RunFolder.open_to_correct(run) as folder:
        ids = np.ones(folder.read_map(records[1].relative).ids.shape, np.int32)
        drawn = PanopticMap.of(ids, [Segment(1, 1, is_thing=True, state="edited")])
        folder.correct(records[1], drawn, state="reviewed")
    corrections = read_corrections([run], predictor.vocabulary, CLIP)
    assert len(remember(corrections, predictor).classes) == len(corrections.segments)
    moved = replace(predictor, clip=CLIP[::-1])  # nothing of it is in the cache
    records[1].path.write_bytes(b"no picture")
    of_others = read_corrections([run], predictor.vocabulary, moved.clip)
    assert len(remember(of_others, moved).classes) == len(corrections.segments) - 1


def test_another_memory_wants_update_and_the_manifest_tells_which_it_was(tmp_path: Path) -> None:
    pictures, run, out = tmp_path / "images", tmp_path / "first", tmp_path / "out"
    write_demo(pictures, count=2, size=128)
    annotate(pictures, run, "stickers")
    accept(run, place=0)
    annotate(pictures, out, "stickers", memory=[run])
    told = json.loads((out / "run.json").read_text())
    assert told["arguments"]["memory"]["runs"] == [f"{run}"]
    assert told["arguments"]["memory"]["segments"] > 0
    assert {"neighbours", "temperature", "weight"} <= told["arguments"]["memory"].keys()
    assert annotate(pictures, out, "stickers", memory=[run]).labelled == 0
    with pytest.raises(RunError, match="other memory"):
        annotate(pictures, out, "stickers")
    accept(run, place=1)
    with pytest.raises(RunError, match="other memory"):
        annotate(pictures, out, "stickers", memory=[run])
    assert annotate(pictures, out, "stickers", memory=[run], update=True).labelled == 2
