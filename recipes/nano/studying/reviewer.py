"""A reviewer who knows the truth: what is done with each segment, and how many seconds it takes.

No published study has timed these very actions, so every cost is an assumption and an option. What
is published near them:

- 79 s an outline by polygons, on photographs (COCO: 22 hours for 1000; Lin et al., arXiv
  1405.0312). Clicks that correct a machine's mask are three times as quick (Benenson et al., arXiv
  1903.10830), and so are whole images where people correct proposals (Fluid Annotation, Andriluka
  et al., arXiv 1806.07527). A third of 79 s is 26 s: hence 25 s to redraw, 30 s to draw.
- 7 s a box by its four extreme points (Papadopoulos et al., arXiv 1708.02750), 2.4 s a point on an
  object (Bearman et al., arXiv 1506.02106): a key or a click, 1 to 1.5 s, and a class, 4 s, are in
  proportion.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.panoptic import PanopticMap, Segment

Action = Literal["look", "accept", "relabel", "reject", "redraw", "draw"]


@dataclass(frozen=True)
class Costs:
    """Seconds that each action takes.

    Attributes:
        look: open an image and take it in.
        accept: by a key, a segment that is right.
        relabel: choose another class.
        reject: take away a segment that is nothing.
        redraw: a mask that is bad.
        draw: a segment that nobody proposed, with its class.
    """

    look: float = 3.0
    accept: float = 1.0
    relabel: float = 4.0
    reject: float = 1.5
    redraw: float = 25.0
    draw: float = 30.0

    def of(self, actions: Mapping[Action, int]) -> float:
        """Return the seconds that some actions take."""
        return sum(count * float(getattr(self, action)) for action, count in actions.items())


@dataclass(frozen=True)
class Eye:
    """How exact the reviewer is.

    Attributes:
        good: IoU with the truth from which on a mask is left as it is.
        related: IoU from which on a mask is a bad one of a true segment, and not nothing.
    """

    good: float = 0.8
    related: float = 0.1


@dataclass(frozen=True)
class Reviewed:
    """An image as the reviewer left it.

    Attributes:
        labels: the finished ones.
        actions: how often each one was done.
        named: by the id of a proposed segment whose mask was left, the place of the true one.
        drawn: places of the true segments that were drawn or redrawn.
    """

    labels: PanopticMap
    actions: Mapping[Action, int]
    named: Mapping[int, int] = field(default_factory=dict)
    drawn: tuple[int, ...] = ()


def review(labels: PanopticMap, truth: PanopticMap, eye: Eye) -> Reviewed:
    """Return what the reviewer makes of the labels of one image.

    What a machine accepted is not judged: it stays, and nobody draws the true segment that it is
    paired with. What is drawn takes its pixels from all others.
    """
    overlap = overlap_of(labels, truth, void_is_truth=True)
    partners = _partners(overlap.iou, eye.related)
    actions = Counter[Action]()
    actions["look"] = 1
    kept, named, drawn = list[Segment](), dict[int, int](), list[int]()
    for place, segment in enumerate(labels.segments):
        if segment.is_owned:
            kept.append(segment)
            continue
        if place not in partners:
            actions["reject"] += 1
            continue
        true = truth.segments[partners[place]]
        is_right = segment.category_id == true.category_id
        if overlap.iou[place, partners[place]] < eye.good:
            actions["redraw"] += 1
            drawn.append(partners[place])
        else:
            if is_right:
                actions["accept"] += 1
            named[segment.id] = partners[place]
            mine = replace(segment, category_id=true.category_id, is_thing=true.is_thing)
            kept.append(mine.accepted())
        if not is_right:
            actions["relabel"] += 1
    missed = sorted(set(range(len(truth.segments))) - set(partners.values()))
    if missed:
        actions["draw"] += len(missed)
    drawn += missed
    return Reviewed(_painted(labels, kept, truth, drawn), actions, named, tuple(drawn))


def _partners(iou: np.ndarray, least: float) -> dict[int, int]:
    """Return the true segment of each proposed one, places; the best pairs of [P, T] first."""
    found: dict[int, int] = {}
    for code in np.argsort(-iou, axis=None, kind="stable").tolist():
        place, true = divmod(code, iou.shape[1])
        if iou[place, true] < least:
            break
        if place not in found and true not in found.values():
            found[place] = true
    return found


def _painted(
    labels: PanopticMap, kept: list[Segment], truth: PanopticMap, drawn: list[int]
) -> PanopticMap:
    """Return the kept segments with the drawn true ones (places) over them."""
    ids = np.where(np.isin(labels.ids, [segment.id for segment in kept]), labels.ids, 0)
    segments, free = list(kept), 1 + max((segment.id for segment in kept), default=0)
    for new, place in enumerate(drawn, start=free):
        true = truth.segments[place]
        ids[truth.ids == true.id] = new
        segments.append(Segment(new, true.category_id, true.is_thing, state="edited"))
    return PanopticMap.of(ids.astype(np.int32), segments)
