"""How many true segments some predicted segment covers, whatever class it was given.

It tells masks from names: where recall is high and PQ low, the names are what is wrong.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.evaluation.segment_overlap import SegmentOverlap

THRESHOLDS = (0.5, 0.75, 0.9)  # IoU of at least


@dataclass
class RecallTally:
    """Counts image by image; keeps four numbers a class."""

    _counts: dict[int, NDArray[np.int64]] = field(
        default_factory=lambda: defaultdict(lambda: np.zeros(1 + len(THRESHOLDS), dtype=np.int64))
    )

    def add(self, overlap: SegmentOverlap) -> None:
        """Count the true segments of one image; crowds are left out."""
        best = overlap.iou.max(axis=0, initial=0.0)  # [T]
        for segment, iou in zip(overlap.truth, best.tolist(), strict=True):
            if not segment.is_crowd:
                hits = [iou >= threshold for threshold in THRESHOLDS]
                self._counts[segment.category_id] += np.array([1, *hits])

    def segments(self, category_id: int) -> int:
        """How many true segments of the class there were."""
        return int(self._counts[category_id][0]) if category_id in self._counts else 0

    def recall(self, category_ids: Collection[int]) -> tuple[float, ...] | None:
        """Share of the classes' segments that are covered, at each threshold; None: none exist.

        Each segment counts alike, not each class.
        """
        counts = [self._counts[id_] for id_ in category_ids if id_ in self._counts]
        if not counts:
            return None
        total, *hits = np.sum(counts, axis=0).tolist()
        return tuple(hit / total for hit in hits)
