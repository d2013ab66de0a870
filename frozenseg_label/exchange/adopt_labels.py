"""Labels from outside beside those of the run: which segment is which, and whose it is now."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from frozenseg_label.panoptic import IMPORTED, MAX_SEGMENT_ID, PanopticMap, Segment
from frozenseg_label.runs.ownership import SAME_MASK_IOU


@dataclass(frozen=True)
class Changes:
    """How imported labels differ from those of before, in segments.

    Attributes:
        accepted: proposed by the model, class and pixels alike.
        changed_class: the same region (IoU above 0.5), another class.
        reshaped: the same region and class, other pixels.
        added, removed: without a counterpart of IoU above 0.5.
    """

    accepted: int = 0
    changed_class: int = 0
    reshaped: int = 0
    added: int = 0
    removed: int = 0

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.accepted + other.accepted,
            self.changed_class + other.changed_class,
            self.reshaped + other.reshaped,
            self.added + other.added,
            self.removed + other.removed,
        )

    def alter_labels(self) -> bool:
        """Return whether any pixel gets another class or another segment."""
        return self != Changes(accepted=self.accepted)


@dataclass(frozen=True)
class Adoption:
    """Imported labels of one image.

    Attributes:
        panoptic_map: the labels with the ids, sources and states that they get in the run.
        changes: against the labels of before.
        overwritten: segments of a person that do not stay as they were.
        leaves_open: segments are still proposed, because the labels could tell nothing of them.
    """

    panoptic_map: PanopticMap
    changes: Changes
    overwritten: int
    leaves_open: bool = False


def adopt(
    imported: PanopticMap, current: PanopticMap, kept: Mapping[int, Segment] | None = None
) -> Adoption:
    """Make labels from outside a person's work in the run.

    A segment that the run has with the same class and pixels stays as it is there, accepted
    where it was proposed. Every other counts as accepted; it keeps the id of the segment that it
    overlaps with an IoU above 0.5: of those there is one at most, in both directions (Kirillov et
    al. 2019). Source and score stay what the imported labels say, unless they name the run's own
    model: what that model did not propose is a person's, and its score is no longer true.

    Args:
        imported: with category ids of the run's vocabulary.
        current: the labels in the run, of the same size.
        kept: by id in `imported`, present segments that stay as they are, but for pixels that
            others took; nobody looked at them.
    """
    kept = kept or {}
    if imported.ids.shape != current.ids.shape:
        raise ValueError(f"maps of sizes {imported.ids.shape} and {current.ids.shape}")
    counterparts = _counterparts(imported, current)
    taken = set(np.unique(current.ids).tolist())
    unused = _unused(taken | {segment.id for segment in imported.segments})
    models = {segment.source for segment in current.segments}
    staying = {kept[segment.id].id for segment in imported.segments if segment.id in kept}
    adopted: dict[int, Segment] = {}  # by the id that the imported labels use
    unaltered: list[Segment] = []
    tally: Counter[str] = Counter(removed=len(current.segments))
    for segment in imported.segments:
        counterpart, is_same_mask = counterparts.get(segment.id, (None, False))
        if segment.id in kept:
            tally.subtract(["removed"])
            adopted[segment.id] = replace(segment, id=kept[segment.id].id)
            continue
        if counterpart is not None and counterpart.id in staying:
            counterpart = None  # it lost pixels to this one, and keeps its id
        id_ = next(unused) if segment.id in taken else segment.id
        if segment.state == "rejected":
            known = counterpart if counterpart is not None and is_same_mask else segment
            adopted[segment.id] = replace(known, id=id_, state="rejected")
        elif counterpart is None:
            tally["added"] += 1
            adopted[segment.id] = _taken_over(replace(segment, id=id_), models)
        elif counterpart.category_id == segment.category_id and is_same_mask:
            tally.subtract(["removed"])
            unaltered.append(counterpart)
            note = segment.note or counterpart.note
            known = replace(counterpart, is_crowd=segment.is_crowd, note=note)
            adopted[segment.id] = _accepted(known)
        else:
            is_same_class = counterpart.category_id == segment.category_id
            tally["reshaped" if is_same_class else "changed_class"] += 1
            tally.subtract(["removed"])
            note = segment.note or counterpart.note
            known = replace(segment, id=counterpart.id, note=note)
            adopted[segment.id] = _taken_over(known, models)
    tally["accepted"] = sum(segment.is_open for segment in unaltered)
    overwritten = sum(not segment.is_open for segment in current.segments)
    overwritten -= sum(not segment.is_open for segment in unaltered)
    overwritten -= sum(not s.is_open for s in imported.segments if _is_whole(s, kept))
    return Adoption(
        panoptic_map=_renumbered(imported, adopted),
        changes=Changes(**tally),
        overwritten=overwritten,
        leaves_open=any(adopted[id_].is_open for id_ in kept if id_ in adopted),
    )


def _counterparts(imported: PanopticMap, current: PanopticMap) -> dict[int, tuple[Segment, bool]]:
    """Return by imported id the present segment of IoU above 0.5, and whether all pixels agree."""
    new = {segment.id: segment for segment in imported.segments}
    old = {segment.id: segment for segment in current.segments}
    pairs = imported.ids.astype(np.int64) * (MAX_SEGMENT_ID + 1) + current.ids  # [H, W]
    found = {}
    for pair, overlap in zip(*np.unique(pairs, return_counts=True), strict=True):
        new_id, old_id = divmod(int(pair), MAX_SEGMENT_ID + 1)
        if new_id in new and old_id in old:
            union = new[new_id].area + old[old_id].area - overlap
            if overlap > SAME_MASK_IOU * union:
                found[new_id] = old[old_id], bool(overlap == union)
    return found


def _is_whole(segment: Segment, kept: Mapping[int, Segment]) -> bool:
    """Return whether it is a kept segment from which nobody took a pixel."""
    return segment.id in kept and kept[segment.id].area == segment.area


def _taken_over(segment: Segment, models: set[str]) -> Segment:
    """Return an imported segment that the run does not have with the same class and pixels."""
    if segment.source.startswith("model:") and segment.source in models:
        segment = segment.owned_by(IMPORTED, segment.state)
    return _accepted(segment)


def _accepted(segment: Segment) -> Segment:
    return segment.accepted() if segment.is_open else segment


def _unused(used: set[int]) -> Iterator[int]:
    return (candidate for candidate in count(1) if candidate not in used)


def _renumbered(panoptic_map: PanopticMap, adopted: Mapping[int, Segment]) -> PanopticMap:
    """Return the map with the ids of the adopted segments."""
    before, places = np.unique(panoptic_map.ids, return_inverse=True)
    after = [adopted[id_].id if id_ in adopted else 0 for id_ in before.tolist()]
    ids = np.array(after, dtype=np.int32)[places.reshape(panoptic_map.ids.shape)]  # [H, W]
    return PanopticMap(ids, tuple(adopted.values()))
