"""The labels that follow from what a person did to one image in the App."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

from frozenseg_label.errors import ReviewError
from frozenseg_label.panoptic import HUMAN, UNLABELLED, ImageState, PanopticMap, Segment
from frozenseg_label.review.corrections.brush import Stroke, drawn, stroke_on, swallowed_by
from frozenseg_label.review.corrections.opened_labels import OpenedLabels
from frozenseg_label.review.corrections.regions import (
    ACCEPTED,
    PROPOSED,
    REJECTED,
    Mask,
    Region,
    ShownImage,
    is_same_mask,
)
from frozenseg_label.vocabulary import Category

Kind = Literal[
    "accepted",
    "rejected",
    "proposed",
    "relabelled",
    "reshaped",
    "added",
    "removed",
    "merged",
    "noted",
]


@dataclass(frozen=True)
class Change:
    """What happened to one segment.

    Attributes:
        segment: its id.
        label: its class now; for a removed one, its last class.
        before: its class before, where it had another one.
        gained, lost: pixels.
    """

    kind: Kind
    segment: int
    label: str
    before: str | None = None
    gained: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Edited:
    """The labels of an image after a person edited it.

    Attributes:
        panoptic: rejected segments still have the pixels that no other segment took.
        state: how far the person has looked at the image.
        changes: in the order of the segments.
    """

    panoptic: PanopticMap
    state: ImageState
    changes: tuple[Change, ...]


def apply_edits(opened: OpenedLabels, shown: ShownImage, protected: Mask | None = None) -> Edited:
    """Apply what people did in the App to the labels that the review opened.

    Edited segments win their pixels; pixels that they leave become void. Segments keep their ids,
    new ones get ids above `last_id`. All stuff of one class that a person owns becomes one segment.
    A proposed segment that vanished counts as rejected, unless another one swallowed it.

    Args:
        protected: bool [H, W], pixels that no stroke takes; None: it may take any.

    Raises:
        ReviewError: a region has a class that is not in the vocabulary.
    """
    state = opened.labels.state
    if ACCEPTED in shown.tags:
        state = "reviewed"
    elif state == "unseen":
        state = "in review"
    work = _Work(opened, protected)
    work.take(shown.regions)
    work.settle(shown.tags)
    work.join_stuff()
    changes = sorted(work.changes, key=lambda change: change.segment)
    return Edited(work.panoptic(), state, tuple(changes))


class _Work:
    """One image's labels while the edits are applied.

    Attributes:
        base: the labels that the review opened; nothing changes them.
        ids: int32 [H, W], as they become.
        segments: by id, as they become; areas and boxes are measured in the end.
        tags: of the segments that are in the App, by id.
        strokes: painted after all segments have lost their pixels, by id; the later one wins.
    """

    def __init__(self, opened: OpenedLabels, protected: Mask | None) -> None:
        self.base = opened.panoptic
        self.protected = protected
        self.vocabulary = opened.vocabulary
        self.categories = {category.name: category for category in self.vocabulary.categories}
        self.last_id = opened.last_id
        self.ids = self.base.ids.copy()
        self.segments = {segment.id: segment for segment in self.base.segments}
        self.tags: dict[int, AbstractSet[str]] = {}
        self.strokes: list[tuple[int, Stroke]] = []
        self.changes: list[Change] = []

    def take(self, regions: Sequence[Region]) -> None:
        """Take over classes, tags and pixels of all regions, then remove the missing segments."""
        known: dict[int, Region] = {}
        new: list[Region] = []
        for region in regions:
            self._category(region)  # raises before anything is done
            if region.mask is None:
                continue
            if region.segment_id in self.segments and region.segment_id not in known:
                known[region.segment_id] = region
            else:
                new.append(region)
        vanished = [segment for segment in self.base.segments if segment.id not in known]
        for id_, region in known.items():
            self.tags[id_] = region.tags
            self._relabel(id_, region)
            self._reshape(id_, region, vanished)
            self._note(id_, region)
        for segment in vanished:
            self._remove(segment)
        for region in new:
            self._add(region)
        for id_, stroke in self.strokes:
            gained = stroke.gained
            if self.protected is not None:
                gained = gained & ~self.protected[stroke.where]
            self.ids[stroke.where][gained] = id_

    def settle(self, tags: AbstractSet[str]) -> None:
        """Set the states of segments by their own tags and those of the image."""
        for id_, segment in self.segments.items():
            own = self.tags.get(id_, frozenset())
            refused = REJECTED in own or (REJECTED in tags and segment.is_open)
            agreed = (ACCEPTED in own or ACCEPTED in tags) and segment.is_open
            if refused and segment.state != "rejected":
                self.segments[id_] = replace(segment, state="rejected")
                self.changes.append(Change("rejected", id_, self._name(id_), lost=segment.area))
            elif PROPOSED in own and segment.state == "accepted":
                self.segments[id_] = replace(segment, state="proposed")
                self.changes.append(Change("proposed", id_, self._name(id_)))
            elif agreed and not refused:
                self.segments[id_] = segment.accepted()
                self.changes.append(Change("accepted", id_, self._name(id_)))

    def join_stuff(self) -> None:
        """Make all stuff of a class that a person owns one segment."""
        first: dict[int, int] = {}
        known = {segment.id for segment in self.base.segments}
        for id_ in sorted(self.segments, key=lambda id_: (id_ not in known, id_)):
            segment = self.segments[id_]
            if segment.is_thing or not segment.is_owned or segment.is_open:
                continue
            kept = first.setdefault(segment.category_id, id_)
            if kept == id_:
                continue
            self.ids[self.ids == id_] = kept
            del self.segments[id_]
            if "edited" in (segment.state, self.segments[kept].state):
                self.segments[kept] = self.segments[kept].owned_by(HUMAN)

    def panoptic(self) -> PanopticMap:
        """Return the labels, areas and boxes measured again; segments without a pixel are gone."""
        return PanopticMap.of(self.ids, (segment for _, segment in sorted(self.segments.items())))

    def _category(self, region: Region) -> Category:
        if region.label not in self.categories:
            x, y, _, _ = region.box
            raise ReviewError(
                f"the segment at {x:.0f}, {y:.0f} has the class {region.label!r}, which is not in "
                "the vocabulary; give it a class of the vocabulary in the App, and save again"
            )
        return self.categories[region.label]

    def _name(self, id_: int) -> str:
        return self.vocabulary.by_id(self.segments[id_].category_id).name

    def _relabel(self, id_: int, region: Region) -> None:
        before = self._name(id_)
        if before != region.label:
            category = self._category(region)
            self.segments[id_] = replace(
                self.segments[id_].owned_by(HUMAN),
                category_id=category.id,
                is_thing=category.is_thing,
            )
            self.changes.append(Change("relabelled", id_, region.label, before))

    def _reshape(self, id_: int, region: Region, vanished: list[Segment]) -> None:
        """Apply what was painted; segments that this one swallowed leave the vanished ones."""
        segment = self.segments[id_]
        if is_same_mask(self.base, segment, region):
            return
        swallowed = swallowed_by(self.base, region, vanished)
        stroke = stroke_on(self.base, segment, region, swallowed)
        if swallowed:
            self.changes.append(Change("merged", id_, region.label))
        for other in swallowed:
            vanished.remove(other)
            self.ids[self.base.ids == other.id] = id_
            del self.segments[other.id]
        if stroke:
            self.ids[stroke.where][stroke.lost] = UNLABELLED
            self.strokes.append((id_, stroke))
            pixels = int(stroke.gained.sum()), int(stroke.lost.sum())
            self.changes.append(Change("reshaped", id_, region.label, None, *pixels))
        if swallowed or stroke:
            self.segments[id_] = segment.owned_by(HUMAN)

    def _note(self, id_: int, region: Region) -> None:
        if region.note != self.segments[id_].note:
            self.segments[id_] = replace(self.segments[id_], note=region.note)
            self.changes.append(Change("noted", id_, region.label))

    def _add(self, region: Region) -> None:
        stroke = drawn(self.base.ids.shape, region)
        if REJECTED in region.tags or not stroke:
            return
        self.last_id += 1
        category = self._category(region)
        self.segments[self.last_id] = Segment(
            id=self.last_id,
            category_id=category.id,
            is_thing=category.is_thing,
            state="edited",
            note=region.note,
        )
        self.strokes.append((self.last_id, stroke))
        gained = int(stroke.gained.sum())
        self.changes.append(Change("added", self.last_id, region.label, gained=gained))

    def _remove(self, segment: Segment) -> None:
        """Remove a vanished segment; if a model proposed it, remember it as rejected."""
        self.changes.append(
            Change("removed", segment.id, self._name(segment.id), lost=segment.area)
        )
        if segment.source.startswith("model:"):
            self.segments[segment.id] = replace(segment, state="rejected")
        else:
            self.ids[self.ids == segment.id] = UNLABELLED
            del self.segments[segment.id]
