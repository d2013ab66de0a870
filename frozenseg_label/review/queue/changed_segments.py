"""The segments that the last run of the model changed, as far as the journal tells."""

from collections.abc import Iterable

from frozenseg_label.panoptic import BBox
from frozenseg_label.runs.journal_rows import Entry, StoredSegment
from frozenseg_label.runs.run_reader import RunReader

SAME_BOX_IOU = 0.9  # of the boxes, and ratio of the areas: from here on two segments are the same


def changed_segments(run: RunReader) -> dict[str, frozenset[int]]:
    """Return ids of segments that the last run made and the run before did not, by image.

    Images without such segments are left out. The pixels of earlier labels are gone: class, box and
    area tell whether a segment is the same.
    """
    earlier: dict[str, Entry] = {}
    last: dict[str, Entry] = {}
    for entry in run.history():
        if entry.event != "annotated" or entry.labels is None:
            continue
        before = last.get(entry.image)
        if before is not None and before.run != entry.run:
            earlier[entry.image] = before
        last[entry.image] = entry
    changed = {image: frozenset(_changed(last[image], before)) for image, before in earlier.items()}
    return {image: ids for image, ids in changed.items() if ids}


def _changed(entry: Entry, before: Entry) -> Iterable[int]:
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
