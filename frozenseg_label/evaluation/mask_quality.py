"""How good masks are: average precision of things, and how many true segments are covered.

Average precision is pycocotools' (COCO's protocol: IoU .50:.05:.95). A panoptic map has no overlaps
and one class a segment, so it is lower than that of the masks before they were merged; it is good
for comparing labels with labels. Recall does not look at classes: where it is high and PQ is low,
the names are wrong, not the masks.
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.evaluation.segment_overlap import IGNORED_ABOVE, SegmentOverlap
from frozenseg_label.panoptic import UNLABELLED, PanopticMap

THRESHOLDS = (0.5, 0.75, 0.9)  # of recall: IoU of at least


class Precision(NamedTuple):
    """Average precision, 0..1: mean over the IoUs .50:.05:.95, at .50, and at .75."""

    ap: float
    ap50: float
    ap75: float


@dataclass
class InstanceTally:
    """Collects the masks of things, run-length coded; they stay in memory.

    Attributes:
        things: ids of the categories that are things.
        scored, unscored: predicted things with and without a score. Those without, which a person
            drew, count as certain.
    """

    things: Collection[int]
    scored: int = 0
    unscored: int = 0
    _images: list[dict[str, Any]] = field(default_factory=list)
    _predicted: list[dict[str, Any]] = field(default_factory=list)
    _truth: list[dict[str, Any]] = field(default_factory=list)

    def add(self, predicted: PanopticMap, truth: PanopticMap, overlap: SegmentOverlap) -> None:
        """Collect one image.

        COCO knows no void: predicted masks lose their pixels there, and those that lie mostly on
        void are left out, as in panoptic quality.
        """
        number = len(self._images) + 1
        height, width = truth.ids.shape
        self._images.append({"id": number, "height": height, "width": width})
        known = replace(predicted, ids=np.where(truth.ids == UNLABELLED, UNLABELLED, predicted.ids))
        for place, segment in enumerate(overlap.predicted):
            on_void = overlap.on_void[place] > IGNORED_ABOVE * overlap.predicted_areas[place]
            if segment.category_id in self.things and not on_void:
                score = 1.0 if segment.score is None else segment.score
                self.scored += segment.score is not None
                self.unscored += segment.score is None
                row = _row(number, segment.category_id, known.ids == segment.id)
                self._predicted.append(row | {"id": len(self._predicted) + 1, "score": score})
        for segment in overlap.truth:
            if segment.category_id in self.things:
                row = _row(number, segment.category_id, truth.ids == segment.id)
                crowd = int(segment.is_crowd)
                self._truth.append(row | {"id": len(self._truth) + 1, "iscrowd": crowd})

    def categories(self) -> dict[int, Precision]:
        """Return AP by category id for the things of the truth; empty if no prediction has a score.

        COCO's own means over classes are the means of these.
        """
        if not self.scored:
            return {}
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            truth, predicted = COCO(), COCO()
            for coco, rows in ((truth, self._truth), (predicted, self._predicted)):
                coco.dataset = {
                    "images": self._images,
                    "categories": [{"id": category_id} for category_id in sorted(self.things)],
                    "annotations": rows,
                }
                coco.createIndex()
            evaluation = COCOeval(truth, predicted, "segm")
            evaluation.evaluate()
            evaluation.accumulate()
        # [IoU thresholds, recall levels, categories, areas (all first), detections (100 last)]
        precision: NDArray[np.float64] = evaluation.eval["precision"][:, :, :, 0, -1]
        found = {}
        for place, category_id in enumerate(evaluation.params.catIds):
            of_class = precision[:, :, place]  # -1 where the truth has none of the class
            if (of_class > -1).any():
                found[int(category_id)] = Precision(
                    float(of_class.mean()), float(of_class[0].mean()), float(of_class[5].mean())
                )
        return found

    def notes(self) -> Iterator[str]:
        """Yield what to keep in mind about the figures."""
        if self.unscored and not self.scored:
            yield "the predictions carry no scores: no mask AP"
        elif self.unscored:
            yield (
                f"{self.unscored} of {self.scored + self.unscored} predicted things have no score; "
                "for mask AP they count as certain"
            )


def mean_precision(
    categories: Mapping[int, Precision], category_ids: Collection[int]
) -> Precision | None:
    """Return the mean over those of the classes that have a figure; None if none has."""
    chosen = [categories[id_] for id_ in category_ids if id_ in categories]
    return Precision(*np.mean(chosen, axis=0).tolist()) if chosen else None


def _row(image: int, category_id: int, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask [H, W] as COCO writes it."""
    from pycocotools import mask as run_lengths

    coded = run_lengths.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "image_id": image,
        "category_id": category_id,
        "segmentation": coded,
        "area": int(mask.sum()),
        "bbox": [0, 0, 0, 0],
        "iscrowd": 0,
    }


@dataclass
class RecallTally:
    """Counts covered segments image by image; keeps four numbers for each class."""

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
        """Return the number of true segments of the class."""
        return int(self._counts[category_id][0]) if category_id in self._counts else 0

    def recall(self, category_ids: Collection[int]) -> tuple[float, ...] | None:
        """Return the share of the classes' segments that are covered, at each threshold.

        Each segment counts the same, not each class; None if there are no segments.
        """
        counts = [self._counts[id_] for id_ in category_ids if id_ in self._counts]
        if not counts:
            return None
        total, *hits = np.sum(counts, axis=0).tolist()
        return tuple(hit / total for hit in hits)
