"""The panoptic map: one id per pixel, and what each id means (arXiv 1801.00868)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

UNLABELLED = 0
MAX_SEGMENT_ID = 256**3 - 1  # what the three bytes of a COCO panoptic PNG can hold

BBox = tuple[int, int, int, int]  # x, y, width, height in pixels
State = Literal["proposed", "accepted", "edited", "rejected"]  # of a segment
ImageState = Literal["unseen", "in review", "reviewed"]  # how far a person has looked at an image

HUMAN, IMPORTED = "human", "imported"  # sources of a segment, beside `model:<hash>`
OWNED_STATES: frozenset[State] = frozenset({"accepted", "edited"})  # no later run may touch these


@dataclass(frozen=True)
class Segment:
    """One thing, or one region of stuff.

    Attributes:
        id: 1..2^24 - 1, unique within its map.
        category_id: `Category.id` of the class.
        is_thing: thing (countable) or stuff.
        area: pixels that carry the id; 0 until `PanopticMap.of` counts them.
        bbox: the smallest box around them; zeros until then.
        score: probability of the class, 0..1; None where no model gave one.
        margin: score minus that of the second class; None likewise.
        second: `Category.id` of the second class; None likewise, or with one class only.
        disagreement: how far the two classifiers are apart, 0 (same) to 1; None likewise.
        contested: share of its mask that stronger masks took, 0..1; None likewise.
        sam_disagreement: 1 - IoU with the nearest of SAM's own masks; None where SAM was not asked.
        accepted_by: the rule by which a machine accepted it (`calibrate 0.98`); None: a person did,
            or nobody.
        source: `model:<hash>`, `human` or `imported`.
        state: what a person did with it: `proposed` is nothing yet, `accepted` and `edited` make it
            the person's own, `rejected` takes it away.
        is_crowd: a group that is not told apart; evaluation ignores it.
        note: what a person wrote about it; empty: nothing.
    """

    id: int
    category_id: int
    is_thing: bool
    area: int = 0
    bbox: BBox = (0, 0, 0, 0)
    score: float | None = None
    margin: float | None = None
    second: int | None = None
    disagreement: float | None = None
    source: str = HUMAN
    state: State = "proposed"
    is_crowd: bool = False
    contested: float | None = None
    sam_disagreement: float | None = None
    accepted_by: str | None = None
    note: str = ""

    @property
    def is_owned(self) -> bool:
        """Return whether no later run by these words may touch it.

        It is a person's, whom other words bind too, or accepted by machine.
        """
        return self.state in OWNED_STATES

    @property
    def is_open(self) -> bool:
        """Return whether no person has judged it: it is proposed, or accepted by machine."""
        return self.state == "proposed" or self.accepted_by is not None

    def accepted(self) -> Self:
        """Return it as a person accepted it."""
        return replace(self, state="accepted", accepted_by=None)

    def owned_by(self, source: str, state: State = "edited") -> Self:
        """Return it as somebody's own, without what only a model can say of another segment."""
        return replace(
            self,
            source=source,
            state=state,
            score=None,
            margin=None,
            second=None,
            disagreement=None,
            contested=None,
            sam_disagreement=None,
            accepted_by=None,
        )


@dataclass(frozen=True)
class PanopticMap:
    """Every pixel belongs to one segment or to none.

    Attributes:
        ids: int32 [H, W]; 0 = unlabelled.
        segments: one entry for each id that occurs, and for no other.
    """

    ids: NDArray[np.int32]
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, ids: NDArray[np.int32], segments: Iterable[Segment]) -> Self:
        """Return the map with the areas and boxes that the ids [H, W] say.

        Segments without a pixel are left out.
        """
        return cls(ids, placed(segments, measure(ids)))

    def check(self) -> None:
        """Raise ValueError unless ids and segments tell the same story."""
        if self.ids.ndim != 2 or self.ids.dtype != np.int32:
            raise ValueError(f"ids must be int32 [H, W], got {self.ids.dtype} {self.ids.shape}")
        in_map = {id_: area for id_, (area, _) in measure(self.ids).items()}
        in_list = {segment.id: segment.area for segment in self.segments}
        if len(in_list) != len(self.segments):
            raise ValueError("a segment id occurs twice in the list of segments")
        if in_map != in_list:
            odd = sorted(set(in_map.items()) ^ set(in_list.items()))[:5]
            raise ValueError(f"map and segment list differ, among the (id, area) that do: {odd}")
        if in_map and not 0 < min(in_map) <= max(in_map) <= MAX_SEGMENT_ID:
            span = f"{min(in_map)}..{max(in_map)}"
            raise ValueError(f"segment ids must lie in 1..{MAX_SEGMENT_ID}, got {span}")


def placed(
    segments: Iterable[Segment], measured: Mapping[int, tuple[int, BBox]]
) -> tuple[Segment, ...]:
    """Return segments with the areas and boxes that were measured; those without a pixel are gone.

    Args:
        measured: what `measure` says of the map.
    """
    return tuple(
        replace(segment, area=measured[segment.id][0], bbox=measured[segment.id][1])
        for segment in segments
        if segment.id in measured
    )


def measure(ids: NDArray[np.int32]) -> dict[int, tuple[int, BBox]]:
    """Return area (pixels) and box of each id in [H, W] but 0."""
    if not ids.size:
        return {}
    # By runs of equal pixels in a row, sorted once: a picture that is no label map may have as many
    # ids as pixels.
    first = np.ones(ids.shape, dtype=bool)
    first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    starts = np.flatnonzero(first)  # [runs]
    lengths = np.diff(starts, append=ids.size)
    values = ids.ravel()[starts]
    order = np.argsort(values, kind="stable")  # runs of one id follow each other, from the top
    values, lengths = values[order], lengths[order]
    rows, left = np.divmod(starts[order], ids.shape[1])
    begin = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])  # [ids]
    end = np.r_[begin[1:], len(values)]
    areas = np.add.reduceat(lengths, begin)
    x, y = np.minimum.reduceat(left, begin), rows[begin]
    width = np.maximum.reduceat(left + lengths, begin) - x
    boxes = np.stack([x, y, width, rows[end - 1] + 1 - y], axis=1)
    return {
        value: (area, (box[0], box[1], box[2], box[3]))
        for value, area, box in zip(
            values[begin].tolist(), areas.tolist(), boxes.tolist(), strict=True
        )
        if value != UNLABELLED
    }
