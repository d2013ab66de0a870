"""Where a person's next minute is worth most: images and segments by expected gain.

A segment's gain is the chance that it is wrong, as the model's own signals tell, times a factor a
little above 1 for rare classes. An image's gain is the sum of all its segments' gains and of its
unlabelled share, divided by the work that a look at it takes.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple, overload

from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.panoptic import BBox, ImageState, Segment
from frozenseg_label.runs.journal_rows import MADE_BY_A_RUN, Entry, Labels, StoredSegment
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


class ReviewQueue(Sequence[QueuedImage]):
    """All labelled images, the one that promises most first; equal ones by name.

    Images labelled with words that are no longer in the vocabulary are left out. It reads the
    journal once and keeps a row of numbers for each image; an image's segments are read when it
    is asked for, so the run must stay open. What is saved later does not change the queue.

    Attributes:
        images: their names, in this order.
        images_by_state, segments_by_state: how many, by how far a person has looked at the image.
    """

    def __init__(self, run: RunReader) -> None:
        self._run = run
        facts, self._rows = _read_facts(run)
        self._counts = Counter(name for of_image in facts.values() for name in of_image.names)
        ranked = ((-_gain_of_image(f, self._counts), image) for image, f in facts.items())
        self.images = tuple(image for _, image in sorted(ranked))
        self.images_by_state = Counter(of_image.state for of_image in facts.values())
        self.segments_by_state = Counter[ImageState]()
        for of_image in facts.values():
            self.segments_by_state[of_image.state] += len(of_image.names)

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, place: int) -> QueuedImage: ...
    @overload
    def __getitem__(self, place: slice) -> list[QueuedImage]: ...
    def __getitem__(self, place: int | slice) -> QueuedImage | list[QueuedImage]:
        """Return the image at a place, or the images at several."""
        if isinstance(place, slice):
            return [self.read(image) for image in self.images[place]]
        return self.read(self.images[place])

    def read(self, image: str) -> QueuedImage:
        """Return one of `images`."""
        rows = self._rows[image]
        labels = self._run.row(rows.now).labels
        if labels is None:
            raise ValueError(f"{self._run.path} has no labels of {image!r} where they were")
        changed = frozenset[int]()
        if rows.made is not None and rows.before is not None:
            made, before = self._run.row(rows.made), self._run.row(rows.before)
            changed = frozenset(_changed_ids(made, before))
        return _queued(image, labels, self._run.vocabulary, self._counts, changed)


@dataclass(frozen=True)
class _Facts:
    """What an image's place in the queue depends on.

    Attributes:
        names: of the classes of its segments; strings that all images share.
        doubts: likewise, 0 where a person has judged the segment.
        unlabelled: share of the pixels, 0..1.
        state: how far a person has looked at it.
    """

    names: tuple[str, ...]
    doubts: "array[float]"
    unlabelled: float
    state: ImageState


class _Rows(NamedTuple):
    """Where the journal tells of an image.

    Attributes:
        now: its labels as they are.
        made: as a run made them last; None: none did.
        before: as the run before made them, whose PNGs are gone; None: there was none.
        run: that made `made`.
    """

    now: RowPlace
    made: RowPlace | None = None
    before: RowPlace | None = None
    run: str | None = None

    def then(self, place: RowPlace, entry: Entry) -> "_Rows":
        """Return the places after one more row."""
        if entry.event not in MADE_BY_A_RUN:
            return self._replace(now=place)
        before = self.before if entry.run == self.run else self.made
        return _Rows(place, place, before, entry.run)


def _read_facts(run: RunReader) -> tuple[dict[str, _Facts], dict[str, _Rows]]:
    """Return facts and rows of each labelled image; its last row wins."""
    facts: dict[str, _Facts] = {}
    rows: dict[str, _Rows] = {}
    for place, entry in run.history():
        image, labels = entry.image, entry.labels
        if labels is None:
            facts.pop(image, None)
            continue
        rows[image] = rows.get(image, _Rows(place)).then(place, entry)
        if labels.current.lost_classes(run.vocabulary):
            facts.pop(image, None)
        else:
            segments = labels.current.segments(run.vocabulary)
            facts[image] = _facts(labels, segments, run.vocabulary)
    return facts, rows


def _facts(labels: Labels, segments: Sequence[Segment], vocabulary: Vocabulary) -> _Facts:
    covered = sum(segment.area for segment in segments)
    return _Facts(
        tuple(vocabulary.by_id(segment.category_id).name for segment in segments),
        array("d", map(_open_doubt, segments)),
        1 - covered / (labels.width * labels.height),
        labels.state,
    )


def _gain_of_image(facts: _Facts, counts: Mapping[str, int]) -> float:
    """Return what a look at the image promises."""
    if facts.state == "reviewed":
        return 0.0
    pairs = zip(facts.names, facts.doubts, strict=True)
    return image_gain([_gain(chance, counts[name]) for name, chance in pairs], facts.unlabelled)


def _open_doubt(segment: Segment) -> float:
    """Return the doubt of a segment that nobody has judged, else 0."""
    return doubt(segment) if segment.state == "proposed" else 0.0


def _gain(chance: float, count: int) -> float:
    """Return the gain of a segment by its doubt and the number of segments of its class."""
    return round(chance * (1 + RARITY / sqrt(count)), 9)


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


def segment_gain(segment: Segment, count: int) -> float:
    """Return what a look at a segment promises: 0 where it is judged already, 1.5 at the most.

    Args:
        count: segments of its class in the run.
    """
    return _gain(_open_doubt(segment), count)


def image_gain(gains: Collection[float], unlabelled: float) -> float:
    """Return what a look at an image promises, by the gains of its segments.

    Args:
        unlabelled: share of its pixels, 0..1.
    """
    return round((sum(gains) + UNLABELLED * unlabelled) / (OPENING + len(gains)), 9)


def _queued(
    image: str,
    labels: Labels,
    vocabulary: Vocabulary,
    counts: Mapping[str, int],
    changed: frozenset[int],
) -> QueuedImage:
    segments = labels.current.segments(vocabulary)
    facts = _facts(labels, segments, vocabulary)
    items = [
        QueuedSegment(segment, _gain(chance, counts[name]), segment.id in changed)
        for segment, name, chance in zip(segments, facts.names, facts.doubts, strict=True)
    ]
    items.sort(key=lambda item: (-item.gain, item.segment.id))
    gain = _gain_of_image(facts, counts)
    return QueuedImage(image, labels, tuple(items), facts.unlabelled, gain)


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
