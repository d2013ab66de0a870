"""Where a person's next minute is worth most: images and segments by expected gain.

A segment's gain is the chance that it is wrong, as the model's own signals tell, times a factor a
little above 1 for rare classes. An image's gain is the sum of all its segments' gains and of its
unlabelled share, divided by the work that a look at it takes.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.files import atomic_write
from frozenseg_label.panoptic import BBox, ImageState, Segment
from frozenseg_label.runs.journal_rows import Entry, Labels, StoredSegment
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary

# How much each signal tells about whether a segment is wrong. On 534 segments of 120 demonstration
# images, 45 % of them wrong, these weights put the wrong one before the right one in 88 of 100
# pairs; only the margin does so in 87, only one of the other signals in 72 to 77.
MARGIN, DISAGREEMENT, CONTESTED, SAM_DISAGREEMENT = 0.5, 0.1, 0.2, 0.2
RARITY = 0.5  # a class with a single segment counts 1.5 times, one with a hundred 1.05 times
UNLABELLED = 1.0  # an image without labels gains as much as one segment that is surely wrong
SAME_BOX_IOU = 0.9  # of the boxes, and ratio of the areas: from here on two segments are the same
OPENING = 2.0  # opening an image takes as long as looking at two segments

CSV_COLUMNS = (
    "rank", "image_rank", "image", "image_gain", "unlabelled", "segment", "class", "gain", "score",
    "margin", "second", "disagreement", "contested", "sam_disagreement", "area", "x", "y", "width",
    "height", "state", "changed", "note", "image_note",
)  # fmt: skip


@dataclass(frozen=True)
class QueuedSegment:
    """A segment and what a look at it promises.

    Attributes:
        segment: with the ids of the run's vocabulary.
        gain: 0 where a person has judged it already; 1.5 at the most.
        changed: whether the last run made it, and the run before had no equal one there.
    """

    segment: Segment
    gain: float
    changed: bool


@dataclass(frozen=True)
class QueuedImage:
    """An image and what a look at it promises.

    Attributes:
        image: its name in the run folder.
        labels: its present ones.
        segments: by gain, the highest first.
        unlabelled: share of the pixels, 0..1.
        gain: 0 where it is reviewed.
    """

    image: str
    labels: Labels
    segments: tuple[QueuedSegment, ...]
    unlabelled: float
    gain: float

    @property
    def state(self) -> ImageState:
        """Return how far a person has looked at it."""
        return self.labels.state


def review_queue(run: RunReader) -> list[QueuedImage]:
    """Return all labelled images, the one that promises most first; equal ones by name.

    Images labelled with words that are no longer in the vocabulary are left out.
    """
    labelled = [
        (entry.image, entry.labels)
        for entry in run.entries()
        if entry.labels is not None and not entry.labels.current.lost_classes(run.vocabulary)
    ]
    counts = Counter(name for _, labels in labelled for name in _names(labels))
    changed = changed_segments(run)
    queue = [
        _queued(image, labels, run.vocabulary, counts, changed.get(image, frozenset()))
        for image, labels in labelled
    ]
    return sorted(queue, key=lambda queued: (-queued.gain, queued.image))


def doubt(segment: Segment) -> float:
    """Return how likely a segment is wrong, 0..1, by the signals that its model gave."""
    signals = (
        (MARGIN, None if segment.margin is None else 1 - segment.margin),
        (DISAGREEMENT, segment.disagreement),
        (CONTESTED, segment.contested),
        (SAM_DISAGREEMENT, segment.sam_disagreement),
    )
    known = [(weight, value) for weight, value in signals if value is not None]
    if not known:
        return 1.0  # nothing says that it is right
    return sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)


def write_queue(path: Path, queue: Sequence[QueuedImage], vocabulary: Vocabulary) -> None:
    """Write the queue as CSV, a row per segment; an image without segments has one row."""
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for rank, row in enumerate(_rows(queue, vocabulary), start=1):
        writer.writerow({"rank": rank, **row})
    # Names of files that are not Unicode stay the same bytes.
    atomic_write(path, file.getvalue().encode("utf-8", "surrogateescape"))


def _rows(queue: Iterable[QueuedImage], vocabulary: Vocabulary) -> Iterable[dict[str, object]]:
    for image_rank, queued in enumerate(queue, start=1):
        of_image = {
            "image_rank": image_rank,
            "image": queued.image,
            "image_gain": f"{queued.gain:.4f}",
            "unlabelled": f"{queued.unlabelled:.4f}",
            "image_note": queued.labels.note,
        }
        if not queued.segments:
            yield of_image
        for item in queued.segments:
            segment = item.segment
            second = None if segment.second is None else vocabulary.by_id(segment.second).name
            x, y, width, height = segment.bbox
            yield of_image | {
                "segment": segment.id,
                "class": vocabulary.by_id(segment.category_id).name,
                "gain": f"{item.gain:.4f}",
                "score": _number(segment.score),
                "margin": _number(segment.margin),
                "second": second,
                "disagreement": _number(segment.disagreement),
                "contested": _number(segment.contested),
                "sam_disagreement": _number(segment.sam_disagreement),
                "area": segment.area,
                "x": x,
                "y": y,
                "width": width,
                "height": height,
                "state": segment.state,
                "changed": int(item.changed),
                "note": segment.note,
            }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _names(labels: Labels) -> list[str]:
    return [labels.current.names[info.category_id] for info in labels.current.segments_info]


def _queued(
    image: str,
    labels: Labels,
    vocabulary: Vocabulary,
    counts: Mapping[str, int],
    changed: frozenset[int],
) -> QueuedImage:
    items = []
    for segment in labels.current.segments(vocabulary):
        count = counts[vocabulary.by_id(segment.category_id).name]
        rarity = 1 + RARITY * count**-0.5
        gain = doubt(segment) * rarity if segment.state == "proposed" else 0.0
        items.append(QueuedSegment(segment, round(gain, 9), segment.id in changed))
    items.sort(key=lambda item: (-item.gain, item.segment.id))
    covered = sum(item.segment.area for item in items)
    unlabelled = 1 - covered / (labels.width * labels.height)
    total = sum(item.gain for item in items) + UNLABELLED * unlabelled
    gain = 0.0 if labels.state == "reviewed" else total / (OPENING + len(items))
    return QueuedImage(image, labels, tuple(items), unlabelled, round(gain, 9))


def changed_segments(run: RunReader) -> dict[str, frozenset[int]]:
    """Return ids of segments that the last run made and the run before did not, by image.

    Images without such segments are left out. The pixels of earlier labels are gone: class, box and
    area tell whether a segment is the same.
    """
    earlier: dict[str, Entry] = {}
    last: dict[str, Entry] = {}
    for entry in run.history():
        if entry.event not in ("annotated", "relabelled") or entry.labels is None:
            continue
        before = last.get(entry.image)
        if before is not None and before.run != entry.run:
            earlier[entry.image] = before
        last[entry.image] = entry
    changed = {
        image: frozenset(_changed_ids(last[image], before)) for image, before in earlier.items()
    }
    return {image: ids for image, ids in changed.items() if ids}


def _changed_ids(entry: Entry, before: Entry) -> Iterable[int]:
    if entry.labels is None or before.labels is None:
        return
    old, new = before.labels.current, entry.labels.current
    for info in new.segments_info:
        name = new.names[info.category_id]
        alike = (o for o in old.segments_info if old.names[o.category_id] == name)
        if info.state == "proposed" and not any(_is_same(info, other) for other in alike):
            yield info.id


def _is_same(one: StoredSegment, other: StoredSegment) -> bool:
    areas = min(one.area, other.area) / max(one.area, other.area)
    return areas >= SAME_BOX_IOU and _box_iou(one.bbox, other.bbox) >= SAME_BOX_IOU


def _box_iou(one: BBox, other: BBox) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0, width) * max(0, height)
    return both / (one[2] * one[3] + other[2] * other[3] - both)
