"""What a person did to one image, and the labels that follow from it."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from frozenseg_label.errors import ReviewError
from frozenseg_label.formats.coco_panoptic import ImageState, measure
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment
from frozenseg_label.review.mask_fusion import (
    AnyMask,
    Box,
    Mask,
    at_image_resolution,
    fuse_stroke,
    screen_pixel,
    window_around,
)
from frozenseg_label.runs.ownership import is_owned
from frozenseg_label.vocabulary import Vocabulary

ACCEPTED, REJECTED = "accepted", "rejected"  # tags, of segments and of whole images
TAGS = frozenset({ACCEPTED, REJECTED})
MERGED_SHARE = 0.5  # of a vanished segment that another one must cover to have swallowed it

Kind = Literal["accepted", "rejected", "relabelled", "reshaped", "added", "removed", "merged"]


@dataclass(frozen=True)
class Region:
    """A segment as it stands in the App.

    Attributes:
        segment_id: of the segment that it was; None of a new one.
        label: name of the class.
        mask: [h, w], more than 0 is inside; bool and of the box's size as we wrote it, uint8 and of
            the screen's resolution once the App did. None: a box without a mask.
        box: of the mask, in pixels of the image.
        tags: what people put on it.
    """

    segment_id: int | None
    label: str
    mask: AnyMask | None
    box: Box
    tags: AbstractSet[str] = frozenset()

    @property
    def is_exact(self) -> bool:
        """Whether the mask has a value for each pixel of the image."""
        size = round(self.box[3]), round(self.box[2])
        return self.mask is not None and self.mask.dtype == np.bool_ and self.mask.shape == size


@dataclass(frozen=True)
class Change:
    """What became of one segment.

    Attributes:
        segment: its id.
        label: its class now; of a removed one, what it was.
        before: its class before, where that is another one.
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
    """The labels of an image after a person was there.

    Attributes:
        panoptic: rejected segments still have the pixels that nobody else took.
        changes: in the order of the segments.
    """

    panoptic: PanopticMap
    state: ImageState
    changes: tuple[Change, ...]


def is_untouched(
    base: PanopticMap, regions: Sequence[Region], tags: AbstractSet[str], vocabulary: Vocabulary
) -> bool:
    """Whether the App shows the labels just as they came from the run folder."""
    segments = {segment.id: segment for segment in base.segments}
    regions = [region for region in regions if region.mask is not None or region.segment_id]
    ids = [region.segment_id for region in regions]
    return (
        not tags & TAGS
        and sorted(id_ or 0 for id_ in ids) == sorted(segments)
        and all(
            region.label == vocabulary.by_id(segments[region.segment_id or 0].category_id).name
            and not region.tags & TAGS
            and _is_same_mask(base, segments[region.segment_id or 0], region)
            for region in regions
        )
    )


def apply_edits(
    base: PanopticMap,
    regions: Sequence[Region],
    tags: AbstractSet[str],
    vocabulary: Vocabulary,
    *,
    state: ImageState = "unseen",
) -> Edited:
    """Bring what people did in the App to the labels that they did it to.

    Edited segments win their pixels; what they leave is void. Segments keep their ids, new ones get
    new ids; stuff of one class that a person stands behind becomes one segment. A proposed segment
    that vanished counts as rejected, unless another one swallowed it.

    Args:
        base: the labels as the App got them.
        regions: all that stands in the App now.
        tags: of the whole image.
        vocabulary: that of `base`.
        state: of the image before.

    Raises:
        ReviewError: a region has a class that is not in the vocabulary.
    """
    if ACCEPTED in tags:
        state = "reviewed"
    elif state == "unseen":
        state = "in review"
    work = _Work(base, vocabulary)
    work.take(regions)
    work.settle(tags)
    return Edited(work.panoptic(), state, tuple(work.changes))


class _Work:
    """One image's labels while edits are brought to them."""

    def __init__(self, base: PanopticMap, vocabulary: Vocabulary) -> None:
        self.base = base
        self.vocabulary = vocabulary
        self.categories = {category.name: category for category in vocabulary.categories}
        self.last_id = max((segment.id for segment in base.segments), default=0)
        self.ids = base.ids.copy()  # [H, W]
        self.segments = {segment.id: segment for segment in base.segments}
        self.tags: dict[int, AbstractSet[str]] = {}
        self.changes: list[Change] = []

    def take(self, regions: Sequence[Region]) -> None:
        """Bring in classes, tags and pixels of all regions, then what is not there any more."""
        seen: dict[int, Region] = {}
        new: list[Region] = []
        for region in regions:
            self._check_class(region)
            if region.mask is None:
                continue
            known = region.segment_id in self.segments and region.segment_id not in seen
            if known and region.segment_id is not None:
                seen[region.segment_id] = region
            else:
                new.append(region)
        vanished = [segment for segment in self.base.segments if segment.id not in seen]
        painted: list[tuple[int, Mask, tuple[slice, slice]]] = []
        for id_, region in seen.items():
            painted += self._edit(self.segments[id_], region, vanished)
        for segment in vanished:
            self._remove(segment)
        for region in new:
            painted += self._add(region)
        for id_, pixels, where in painted:  # strokes win, the later the more
            self.ids[where][pixels] = id_

    def settle(self, tags: AbstractSet[str]) -> None:
        """Give states by the tags of segments and image, then join stuff."""
        for id_, segment in list(self.segments.items()):
            own = self.tags.get(id_, frozenset())
            refused = REJECTED in own or (REJECTED in tags and segment.state == "proposed")
            agreed = (ACCEPTED in own or ACCEPTED in tags) and segment.state == "proposed"
            name = self.vocabulary.by_id(segment.category_id).name
            if refused and segment.state != "rejected":
                self.segments[id_] = replace(segment, state="rejected")
                self.changes.append(Change("rejected", id_, name, lost=segment.area))
            elif agreed and not refused:
                self.segments[id_] = replace(segment, state="accepted")
                self.changes.append(Change("accepted", id_, name))
        self._join_stuff()

    def panoptic(self) -> PanopticMap:
        """The labels, areas and boxes measured anew; segments without a pixel are gone."""
        measured = measure(self.ids)
        segments = [
            replace(segment, area=measured[id_][0], bbox=measured[id_][1])
            for id_, segment in sorted(self.segments.items())
            if id_ in measured
        ]
        return PanopticMap(self.ids, tuple(segments))

    def _check_class(self, region: Region) -> None:
        if region.label not in self.categories:
            x, y, _, _ = region.box
            raise ReviewError(
                f"the segment at {x:.0f}, {y:.0f} has the class {region.label!r}, which the "
                "vocabulary has not; give it one of the vocabulary in the App, and save again"
            )

    def _edit(
        self, segment: Segment, region: Region, vanished: list[Segment]
    ) -> list[tuple[int, Mask, tuple[slice, slice]]]:
        """Bring one region to the segment that it was; returns what is painted, for later."""
        self.tags[segment.id] = region.tags
        category = self.categories[region.label]
        before = self.vocabulary.by_id(segment.category_id).name
        painted = []
        edited = segment
        if before != region.label:
            edited = replace(_by_a_person(segment), category_id=category.id)
            edited = replace(edited, is_thing=category.is_thing)
            self.changes.append(Change("relabelled", segment.id, region.label, before))
        if not _is_same_mask(self.base, segment, region):
            swallowed = self._swallowed_by(region, vanished)
            where, original, result = self._fused(segment, region, swallowed)
            gained, lost = result & ~original, original & ~result
            if swallowed:
                self.changes.append(Change("merged", segment.id, region.label))
                for other in swallowed:
                    vanished.remove(other)
                    self.ids[self.base.ids == other.id] = segment.id
                    del self.segments[other.id]
            if gained.any() or lost.any():
                self.ids[where][lost] = UNLABELLED
                painted.append((segment.id, gained, where))
                pixels = int(gained.sum()), int(lost.sum())
                self.changes.append(Change("reshaped", segment.id, region.label, None, *pixels))
            if swallowed or gained.any() or lost.any():
                edited = _by_a_person(edited)
        self.segments[segment.id] = edited
        return painted

    def _fused(
        self, segment: Segment, region: Region, swallowed: Sequence[Segment]
    ) -> tuple[tuple[slice, slice], Mask, Mask]:
        """Where to look, and there the mask as it was, swallowed ones too, and as it becomes."""
        mask = region.mask
        if mask is None:
            raise ValueError("a region without a mask has no pixels")
        pixel = 1.0 if region.is_exact else screen_pixel(mask, region.box)
        boxes = [_box(segment), *(_box(other) for other in swallowed), region.box]
        window = window_around(self.base.ids.shape, *boxes, margin=3 * pixel + 2)
        here = self.base.ids[window.slices]
        original = np.isin(here, [segment.id, *(other.id for other in swallowed)])
        result = at_image_resolution(mask, region.box, window)
        if not region.is_exact:
            result = fuse_stroke(original, result, pixel)
        return window.slices, original, result

    def _swallowed_by(self, region: Region, vanished: Sequence[Segment]) -> list[Segment]:
        """The vanished segments that a region covers: they were merged into it."""
        if region.mask is None or not vanished:
            return []
        window = window_around(self.base.ids.shape, region.box)
        inside = at_image_resolution(region.mask, region.box, window)
        here = self.base.ids[window.slices]
        return [
            segment
            for segment in vanished
            if int((inside & (here == segment.id)).sum()) >= MERGED_SHARE * segment.area
        ]

    def _add(self, region: Region) -> list[tuple[int, Mask, tuple[slice, slice]]]:
        if region.mask is None or REJECTED in region.tags:
            return []
        window = window_around(self.base.ids.shape, region.box)
        pixels = at_image_resolution(region.mask, region.box, window)
        if not pixels.any():
            return []
        self.last_id += 1
        category = self.categories[region.label]
        self.segments[self.last_id] = Segment(
            id=self.last_id,
            category_id=category.id,
            is_thing=category.is_thing,
            area=0,
            bbox=(0, 0, 0, 0),
            source="human",
            state="edited",
        )
        gained = int(pixels.sum())
        self.changes.append(Change("added", self.last_id, region.label, gained=gained))
        return [(self.last_id, pixels, window.slices)]

    def _remove(self, segment: Segment) -> None:
        """Take a vanished segment away; what a model proposed is remembered as refused."""
        name = self.vocabulary.by_id(segment.category_id).name
        self.changes.append(Change("removed", segment.id, name, lost=segment.area))
        if segment.source.startswith("model:"):
            self.segments[segment.id] = replace(segment, state="rejected")
        else:
            self.ids[self.ids == segment.id] = UNLABELLED
            del self.segments[segment.id]

    def _join_stuff(self) -> None:
        """Make one segment of all stuff of a class that a person stands behind."""
        first: dict[int, int] = {}
        known = {segment.id for segment in self.base.segments}
        for id_ in sorted(self.segments, key=lambda id_: (id_ not in known, id_)):
            segment = self.segments[id_]
            if segment.is_thing or not is_owned(segment.state):
                continue
            kept = first.setdefault(segment.category_id, id_)
            if kept == id_:
                continue
            self.ids[self.ids == id_] = kept
            del self.segments[id_]
            if "edited" in (segment.state, self.segments[kept].state):
                self.segments[kept] = _by_a_person(self.segments[kept])


def _is_same_mask(base: PanopticMap, segment: Segment, region: Region) -> bool:
    x, y, width, height = segment.bbox
    box = tuple(round(value) for value in region.box)
    if not region.is_exact or region.mask is None or box != segment.bbox:
        return False
    return np.array_equal(region.mask, base.ids[y : y + height, x : x + width] == segment.id)


def _by_a_person(segment: Segment) -> Segment:
    """The segment as a person's own: what a model said of another one is no more true."""
    return replace(
        segment,
        source="human",
        state="edited",
        score=None,
        margin=None,
        second=None,
        disagreement=None,
        contested=None,
        sam_disagreement=None,
    )


def _box(segment: Segment) -> Box:
    x, y, width, height = segment.bbox
    return float(x), float(y), float(width), float(height)


def counts_of(changes: Iterable[Change]) -> Mapping[Kind, int]:
    """How many changes there are of each kind that occurs."""
    counts: dict[Kind, int] = {}
    for change in changes:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    return counts
