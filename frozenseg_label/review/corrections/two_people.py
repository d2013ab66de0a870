"""What two people did to one image: the one who saves later starts from what the first one saved.

Each segment is compared three times: as it was opened, as the run folder has it now, as the App
shows it. What only one of them changed counts. What both changed in the same way, or in ways that
go together (a class and an outline), counts, too. Otherwise the first one's segment stays, and the
later one is told: so nobody's work is lost without a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from frozenseg_label.panoptic import Segment
from frozenseg_label.review.corrections.brush import drawn, stroke_on
from frozenseg_label.review.corrections.opened_labels import OpenedLabels
from frozenseg_label.review.corrections.regions import (
    ACCEPTED,
    PROPOSED,
    REJECTED,
    TAGS,
    Mask,
    Region,
    ShownImage,
    is_same_mask,
)
from frozenseg_label.runs.journal_rows import Labels

SAME_OBJECT_IOU, SAME_OUTLINE_IOU = 0.5, 0.95
GONE = "gone"


@dataclass(frozen=True)
class Clash:
    """A segment that two people changed in ways that do not go together.

    Attributes:
        segment: its id.
        stays: what the first one saved: a class, or `gone`.
        given_up: what the later one wanted.
    """

    segment: int
    stays: str
    given_up: str


@dataclass(frozen=True)
class Together:
    """What a person did, as edits of the labels that another one saved meanwhile.

    Attributes:
        shown: the edits.
        protected: bool [H, W], pixels that the first one changed; no stroke takes them.
        clashes: what is not among the edits.
    """

    shown: ShownImage
    protected: Mask
    clashes: tuple[Clash, ...]


def is_of_people(opened: Labels, now: Labels) -> bool:
    """Return whether only people, and no later run, changed labels since they were opened."""
    sooner, later = (labels.proposed or labels.current for labels in (opened, now))
    if sooner.png != later.png:
        return False
    classes = [
        {i.id: one.names[i.category_id] for i in one.segments_info} for one in (sooner, later)
    ]
    return classes[0] == classes[1]


def both_notes(before: str, theirs: str, mine: str) -> str:
    """Return the note that follows where two people may have written one."""
    if mine in (before, theirs):
        return theirs
    if theirs == before:
        return mine
    return "; ".join(note for note in (theirs, mine) if note)


def put_together(opened: OpenedLabels, shown: ShownImage, present: OpenedLabels) -> Together:
    """Return what a person did, as edits of what another one saved meanwhile.

    Args:
        opened: the labels that the person started from.
        shown: what the App shows now.
        present: the labels in the run folder.
    """
    merge = _Merge(opened, shown, present)
    known = {}
    for region in shown.regions:
        if region.segment_id in merge.before and region.segment_id not in known:
            known[region.segment_id] = region
        elif region.mask is not None:
            merge.add(region)
    for id_ in sorted({*merge.before, *merge.now}):
        merge.take(id_, known.get(id_))
    clashing = [clash.segment for clash in merge.clashes]
    theirs = [id_ for id_ in merge.now if merge.is_theirs(id_)]
    moved = merge.differs & np.isin(present.panoptic.ids, theirs)
    protected = moved | np.isin(present.panoptic.ids, clashing)
    return Together(replace(shown, regions=tuple(merge.regions)), protected, tuple(merge.clashes))


class _Merge:
    """The edits as they are put together, and what is given up.

    Attributes:
        before, now: segments by id, as they were opened and as the run folder has them.
        differs: bool [H, W], pixels that are another segment's now.
        reshaped: ids of the segments that gained or lost such pixels.
    """

    def __init__(self, opened: OpenedLabels, shown: ShownImage, present: OpenedLabels) -> None:
        self.opened, self.shown, self.present = opened, shown, present
        self.before = {segment.id: segment for segment in opened.panoptic.segments}
        self.now = {segment.id: segment for segment in present.panoptic.segments}
        self.differs: Mask = opened.panoptic.ids != present.panoptic.ids
        sides = [one.panoptic.ids[self.differs] for one in (opened, present)]
        self.reshaped = set(np.unique(np.concatenate(sides)).tolist())
        self.regions: list[Region] = []
        self.clashes: list[Clash] = []

    def add(self, region: Region) -> None:
        """Take what the person drew, unless the first one drew the same object."""
        mask = _whole(self.present.panoptic.ids.shape, region)
        for segment in self.present.panoptic.segments:
            iou = _iou(mask, self.present.panoptic.ids == segment.id)
            if segment.id not in self.before and iou > SAME_OBJECT_IOU:
                if self._name(segment) != region.label or iou < SAME_OUTLINE_IOU:
                    self._clash(segment.id, f"{region.label}, drawn")
                return
        self.regions.append(replace(region, segment_id=None))

    def take(self, id_: int, region: Region | None) -> None:
        """Decide about one segment that was opened, or that the first one made."""
        theirs = self.now.get(id_)
        if not self.is_theirs(id_):
            self.regions += [region] if region is not None else []
        elif id_ not in self.before or not self._is_mine(id_, region):
            self.regions += [self._as_saved(theirs)] if theirs is not None else []
        elif theirs is None:
            self._of_gone(id_, region)
        elif region is None or self._is_refused(id_, region):
            self._of_refused(theirs, region)
        else:
            self._of_both(theirs, region)

    def is_theirs(self, id_: int) -> bool:
        """Return whether the first one changed a segment, made it or took it away."""
        before, now = self.before.get(id_), self.now.get(id_)
        if before is None or now is None:
            return True
        facts = [(s.category_id, s.is_open, s.note, s.bbox, s.area) for s in (before, now)]
        return facts[0] != facts[1] or not self._same_pixels(now)

    def _of_gone(self, id_: int, region: Region | None) -> None:
        """Decide about a segment that the first one took away or made part of another one."""
        if region is None or self._is_refused(id_, region):
            return
        there = self.present.panoptic.ids[self.opened.panoptic.ids == id_]
        now = self.now.get(int(np.bincount(there).argmax())) if there.size else None
        if now is None or self._name(now) != region.label:
            self._clash(id_, region.label)

    def _of_refused(self, theirs: Segment, region: Region | None) -> None:
        """Decide about a segment that the first one changed and the person does not want."""
        before = self.before[theirs.id]
        facts = [(s.category_id, s.is_open) for s in (before, theirs)]
        if facts[0] != facts[1] or not self._same_pixels(theirs):
            self._clash(theirs.id, "rejected")
            self.regions.append(self._as_saved(theirs))
        elif region is not None:  # the first one only wrote a note
            note = both_notes(before.note, theirs.note, region.note)
            self.regions.append(replace(region, note=note))

    def _of_both(self, theirs: Segment, region: Region) -> None:
        """Decide about a segment that both changed and nobody took away."""
        before = self.before[theirs.id]
        was, name = self._name(before), self._name(theirs)
        is_judged = theirs.is_open != before.is_open
        renamed = region.label != was
        names_clash = renamed and name != region.label and (name != was or is_judged)
        is_agreed = ACCEPTED in region.tags or (ACCEPTED in self.shown.tags and before.is_open)
        names_clash |= not renamed and name != was and is_agreed
        reshaped = not is_same_mask(self.opened.panoptic, before, region)
        shapes_clash = reshaped and not self._same_pixels(theirs)
        if shapes_clash and self._same_outline(theirs, before, region):
            reshaped = shapes_clash = False
        saved = self._as_saved(theirs, note=both_notes(before.note, theirs.note, region.note))
        if names_clash or shapes_clash or (PROPOSED in region.tags and is_judged):
            how = "proposed again" if PROPOSED in region.tags else region.label
            self._clash(theirs.id, f"{how}, painted" if reshaped else how)
            self.regions.append(saved)
            return
        label = region.label if renamed else name
        mine = replace(region, label=label, note=saved.note)
        kept = replace(mine, mask=saved.mask, box=saved.box)
        self.regions.append(mine if reshaped else kept)

    def _is_mine(self, id_: int, region: Region | None) -> bool:
        """Return whether the person changed a segment that was opened."""
        before = self.before[id_]
        if region is None or region.tags & TAGS or (self.shown.tags & TAGS and before.is_open):
            return True
        same = (region.label, region.note) == (self._name(before), before.note)
        return not same or not is_same_mask(self.opened.panoptic, before, region)

    def _is_refused(self, id_: int, region: Region) -> bool:
        whole = REJECTED in self.shown.tags and self.before[id_].is_open
        return whole or REJECTED in region.tags or region.mask is None

    def _same_pixels(self, segment: Segment) -> bool:
        return segment.id not in self.reshaped

    def _same_outline(self, theirs: Segment, before: Segment, region: Region) -> bool:
        stroke = stroke_on(self.opened.panoptic, before, region)
        mine = self.opened.panoptic.ids == theirs.id
        mine[stroke.where] = (mine[stroke.where] | stroke.gained) & ~stroke.lost
        return _iou(mine, self.present.panoptic.ids == theirs.id) >= SAME_OUTLINE_IOU

    def _as_saved(self, segment: Segment, note: str | None = None) -> Region:
        """Return a segment of the run folder as the App would show it."""
        x, y, width, height = segment.bbox
        return Region(
            segment_id=segment.id,
            label=self._name(segment),
            mask=self.present.panoptic.ids[y : y + height, x : x + width] == segment.id,
            box=segment.bbox,
            note=segment.note if note is None else note,
        )

    def _clash(self, id_: int, given_up: str) -> None:
        now = self.now.get(id_)
        stays = GONE if now is None else self._name(now)
        self.clashes.append(Clash(id_, stays, given_up))

    def _name(self, segment: Segment) -> str:
        return self.present.vocabulary.by_id(segment.category_id).name


def _whole(size: Sequence[int], region: Region) -> Mask:
    """Return the pixels of a region in the whole image [H, W]."""
    mask = np.zeros(tuple(size), np.bool_)
    stroke = drawn((size[0], size[1]), region)
    mask[stroke.where] = stroke.gained
    return mask


def _iou(one: Mask, other: Mask) -> float:
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0
