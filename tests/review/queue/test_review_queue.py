"""What is worth looking at comes first, and always in the same order."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.review.queue.queue_csv import write_queue
from frozenseg_label.review.queue.review_queue import QueuedImage, ReviewQueue, doubt
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

MakeManifest = Callable[..., Manifest]
Queue = Callable[..., list[QueuedImage]]
CAT, DOG, SKY = 1, 2, 3

SURE = {"score": 0.99, "margin": 0.98, "disagreement": 0.01, "contested": 0.0}
DOUBTFUL = {"score": 0.4, "margin": 0.02, "disagreement": 0.8, "contested": 0.5}


def labels(*segments: Mapping[str, object], void: int = 0) -> PanopticMap:
    """Return labels with a row of four pixels per segment, and rows of void."""
    rows = [[id_] * 4 for id_ in range(1, len(segments) + 1)] + [[0] * 4] * void
    ids = np.array(rows, np.int32)
    measured = measure(ids)
    made = []
    for id_, values in enumerate(segments, start=1):
        area, bbox = measured[id_]
        basis = Segment(id_, CAT, True, area, bbox, source="model:abc")
        made.append(replace(basis, **values))  # type: ignore[arg-type]
    return PanopticMap(ids, tuple(made))


@pytest.fixture
def queue_of(tmp_path: Path, make_manifest: MakeManifest) -> Queue:
    """Commit labels by the image's name, correct those in `corrected`; return the queue."""

    def make(
        maps: Mapping[str, PanopticMap], corrected: Mapping[str, PanopticMap] | None = None
    ) -> list[QueuedImage]:
        records = {name: ImageRecord(tmp_path / name, name, 1, 1) for name in maps}
        with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
            for name, panoptic in maps.items():
                run.commit(records[name], panoptic)
            for name, panoptic in (corrected or {}).items():
                run.correct(records[name], panoptic, state="reviewed")
            return list(ReviewQueue(run))

    return make


def test_doubtful_segments_come_before_sure_ones(queue_of: Queue) -> None:
    [image] = queue_of({"a.jpg": labels(SURE, DOUBTFUL)})
    assert [item.segment.id for item in image.segments] == [2, 1]
    assert image.segments[0].gain > 3 * image.segments[1].gain


def test_images_with_more_doubt_or_more_void_come_first_and_equal_ones_by_name(
    queue_of: Queue,
) -> None:
    queue = queue_of(
        {
            "z.jpg": labels(SURE, SURE),
            "b.jpg": labels(SURE, SURE),
            "void.jpg": labels(SURE, SURE, void=6),
            "doubt.jpg": labels(DOUBTFUL, DOUBTFUL),
        }
    )
    assert [queued.image for queued in queue] == ["doubt.jpg", "void.jpg", "b.jpg", "z.jpg"]
    assert [queued.unlabelled for queued in queue] == [0, 0.75, 0, 0]


def test_a_rare_class_comes_before_a_common_one(queue_of: Queue) -> None:
    rare = {**DOUBTFUL, "category_id": DOG}
    [image] = queue_of({"a.jpg": labels(DOUBTFUL, DOUBTFUL, DOUBTFUL, rare)})
    assert image.segments[0].segment.category_id == DOG


def test_what_a_person_settled_promises_nothing(queue_of: Queue) -> None:
    accepted = labels({**DOUBTFUL, "state": "accepted"}, SURE)
    done, other = queue_of(
        {"a.jpg": labels(DOUBTFUL, SURE), "b.jpg": labels(SURE)}, {"a.jpg": accepted}
    )[::-1]
    assert (done.image, done.gain, done.state) == ("a.jpg", 0.0, "reviewed")
    assert done.segments[-1].segment.state == "accepted"
    assert done.segments[-1].gain == 0
    assert other.gain > 0


@pytest.mark.parametrize("signal", ["margin", "disagreement", "contested", "sam_disagreement"])
def test_every_signal_counts_alone(signal: str) -> None:
    good, bad = (1.0, 0.0) if signal == "margin" else (0.0, 1.0)
    one = Segment(1, CAT, True, 4, (0, 0, 4, 1))
    assert doubt(replace(one, **{signal: good})) == 0  # type: ignore[arg-type]
    assert doubt(replace(one, **{signal: bad})) == 1  # type: ignore[arg-type]
    assert doubt(one) == 1  # nobody vouches for it


def test_segments_that_a_later_run_made_count_as_changed(
    tmp_path: Path, make_manifest: MakeManifest
) -> None:
    image = ImageRecord(tmp_path / "a.jpg", "a.jpg", 1, 1)
    dog = {**SURE, "category_id": DOG}
    with RunFolder.open_or_create(tmp_path / "out", make_manifest("first")) as run:
        run.commit(image, labels(SURE, SURE))
        assert not any(item.changed for item in ReviewQueue(run)[0].segments)
    with RunFolder.open_or_create(tmp_path / "out", make_manifest("second"), update=True) as run:
        run.commit(image, labels(SURE, dog))
        [queued] = ReviewQueue(run)
    assert {item.segment.id: item.changed for item in queued.segments} == {1: False, 2: True}


def test_the_csv_has_the_same_order_a_row_per_segment(
    tmp_path: Path, queue_of: Queue, vocabulary: Vocabulary
) -> None:
    maps = {
        "a,b.jpg": labels(SURE, {**DOUBTFUL, "second": SKY}),
        "empty.jpg": labels(void=1),
    }
    queue = queue_of(maps)
    write_queue(tmp_path / "queue.csv", queue, vocabulary)
    with (tmp_path / "queue.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rank"], row["image"], row["segment"]) for row in rows] == [
        ("1", "empty.jpg", ""),
        ("2", "a,b.jpg", "2"),
        ("3", "a,b.jpg", "1"),
    ]
    assert (rows[1]["class"], rows[1]["second"], rows[2]["second"]) == ("cat", "sky", "")
    assert (rows[1]["score"], rows[1]["state"]) == ("0.4000", "proposed")
    first = (tmp_path / "queue.csv").read_bytes()
    write_queue(tmp_path / "queue.csv", queue, vocabulary)
    assert (tmp_path / "queue.csv").read_bytes() == first
