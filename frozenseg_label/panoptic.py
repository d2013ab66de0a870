"""The panoptic map: one id per pixel, and what each id stands for (arXiv 1801.00868)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

UNLABELLED = 0
MAX_SEGMENT_ID = 256**3 - 1  # what the three bytes of a COCO panoptic PNG can hold

State = Literal["proposed", "accepted", "edited", "rejected"]


@dataclass(frozen=True)
class Segment:
    """One thing, or one region of stuff.

    Attributes:
        id: 1..2^24 - 1, unique within its map.
        category_id: `Category.id` of the class.
        is_thing: thing (countable) or stuff.
        area: pixels that carry the id.
        bbox: x, y, width, height in pixels.
        score: probability of the class, 0..1; None where no model gave one.
        margin: score minus that of the second class; None likewise.
        second: `Category.id` of the second class; None likewise, or with one class only.
        disagreement: how far the two classifiers are apart, 0 (same) to 1; None likewise.
        contested: share of its mask that stronger masks took, 0..1; None likewise.
        sam_disagreement: 1 - IoU with the nearest of SAM's own masks; None where SAM was not asked.
        source: `model:<hash>`, `human` or `imported`.
        state: who stands behind it (DESIGN.md, section 3).
        is_crowd: a group that is not told apart; evaluation ignores it.
    """

    id: int
    category_id: int
    is_thing: bool
    area: int
    bbox: tuple[int, int, int, int]
    score: float | None = None
    margin: float | None = None
    second: int | None = None
    disagreement: float | None = None
    source: str = "human"
    state: State = "proposed"
    is_crowd: bool = False
    contested: float | None = None
    sam_disagreement: float | None = None


@dataclass(frozen=True)
class PanopticMap:
    """Every pixel belongs to one segment or to none.

    Attributes:
        ids: int32 [H, W]; 0 = unlabelled.
        segments: one entry for each id that occurs, and for no other.
    """

    ids: NDArray[np.int32]
    segments: tuple[Segment, ...]

    def check(self) -> None:
        """Raise ValueError unless ids and segments tell the same story."""
        if self.ids.ndim != 2 or self.ids.dtype != np.int32:
            raise ValueError(f"ids must be int32 [H, W], got {self.ids.dtype} {self.ids.shape}")
        found, areas = np.unique(self.ids, return_counts=True)
        in_map = {int(i): int(a) for i, a in zip(found, areas, strict=True) if i != UNLABELLED}
        in_list = {segment.id: segment.area for segment in self.segments}
        if len(in_list) != len(self.segments):
            raise ValueError("a segment id occurs twice in the list of segments")
        if in_map != in_list:
            odd = sorted(set(in_map.items()) ^ set(in_list.items()))[:5]
            raise ValueError(f"map and segment list differ, among the (id, area) that do: {odd}")
        if in_map and not 0 < min(in_map) <= max(in_map) <= MAX_SEGMENT_ID:
            span = f"{min(in_map)}..{max(in_map)}"
            raise ValueError(f"segment ids must lie in 1..{MAX_SEGMENT_ID}, got {span}")
