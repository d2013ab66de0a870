"""How good masks are: average precision of things, and how many true segments are covered.

Average precision is pycocotools' (COCO's protocol: IoU .50:.05:.95). A panoptic map has no overlaps
and one class a segment, so it is lower than that of the masks before they were merged; it is good
for comparing labels with labels. Recall does not look at classes: where it is high and PQ is low,
the names are wrong, not the masks.
"""

import contextlib
import io
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.evaluation.segment_overlap import IGNORED_ABOVE, SegmentOverlap

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval

THRESHOLDS = (0.5, 0.75, 0.9)  # of recall: IoU of at least
MOST_DETECTIONS = 100  # of a class in an image, the surest; COCO's limit


class Precision(NamedTuple):
    """Average precision, 0..1: mean over the IoUs .50:.05:.95, at .50, and at .75."""

    ap: float
    ap50: float
    ap75: float


@dataclass
class InstanceTally:
    """Matches the things of one image after the other; keeps twelve bytes for each predicted one.

    pycocotools' COCOeval does both halves: it matches an image's masks, and makes the figures of
    all matches. Between the two only what the second half reads is kept.

    Attributes:
        things: ids of the categories that are things.
        scored, unscored: predicted things with and without a score. Those without, which a person
            drew, count as certain.
    """

    things: Collection[int]
    scored: int = 0
    unscored: int = 0
    _classes: dict[int, "_Matches"] = field(default_factory=lambda: defaultdict(_Matches))
    _coco: "COCOeval" = field(default_factory=lambda: _coco_evaluation())

    def add(self, overlap: SegmentOverlap) -> None:
        """Match the things of one image.

        COCO knows no void: predicted masks lose their pixels there, and those that lie mostly on
        void are left out, as in panoptic quality.
        """
        predicted, truth = defaultdict(list), defaultdict(list)  # places by category
        judged = overlap.on_void <= IGNORED_ABOVE * overlap.predicted_areas
        for place in judged.nonzero()[0].tolist():
            segment = overlap.predicted[place]
            if segment.category_id in self.things:
                predicted[segment.category_id].append(place)
                self.scored += segment.score is not None
                self.unscored += segment.score is None
        for place, segment in enumerate(overlap.truth):
            if segment.category_id in self.things:
                truth[segment.category_id].append(place)
        for category_id in predicted.keys() | truth.keys():
            matched = _match(self._coco, overlap, predicted[category_id], truth[category_id])
            self._classes[category_id].add(matched)

    def categories(self) -> dict[int, Precision]:
        """Return AP by category id for the things of the truth; empty if no prediction has a score.

        COCO's own means over classes are the means of these.
        """
        if not self.scored:
            return {}
        figures = ((id_, matches.precision()) for id_, matches in sorted(self._classes.items()))
        return {id_: precision for id_, precision in figures if precision is not None}

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


@dataclass
class _Matches:
    """What is kept of the masks of one class: of each predicted one in how many ways it is right.

    Attributes:
        scores: of the N predicted masks.
        matched, ignored: likewise; bit i is set if it has a partner at the i-th IoU threshold, and
            if it does not count there.
        truths: number of true masks that count.
    """

    scores: "array[float]" = field(default_factory=lambda: array("d"))
    matched: "array[int]" = field(default_factory=lambda: array("H"))
    ignored: "array[int]" = field(default_factory=lambda: array("H"))
    truths: int = 0

    def add(self, found: Mapping[str, Any]) -> None:
        """Add what COCOeval says of one image."""
        self.scores.extend(found["dtScores"])
        for kept, flags in ((self.matched, found["dtMatches"]), (self.ignored, found["dtIgnore"])):
            kept.extend((_BITS @ (flags > 0)).tolist())  # flags [IoU thresholds, N of this image]
        self.truths += int((found["gtIgnore"] == 0).sum())

    def precision(self) -> Precision | None:
        """Return the figures of the class; None if the truth has none of it."""
        if not self.truths:
            return None
        evaluation = _coco_evaluation()
        evaluation.params.maxDets = [max(1, len(self.scores))]  # each image was cut already
        evaluation.evalImgs = [
            {
                "dtScores": np.array(self.scores),
                "dtMatches": (np.array(self.matched) & _BITS[:, None]) > 0,
                "dtIgnore": (np.array(self.ignored) & _BITS[:, None]) > 0,
                "gtIgnore": np.zeros(self.truths),
            }
        ]
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            evaluation.accumulate()
        # [IoU thresholds, recall levels, 1 class, 1 range of areas, 1 number of detections]
        precision: NDArray[np.float64] = evaluation.eval["precision"][:, :, 0, 0, 0]
        of_threshold = precision.mean(axis=1)
        return Precision(float(precision.mean()), float(of_threshold[0]), float(of_threshold[5]))


_BITS = 1 << np.arange(10, dtype=np.int64)  # one for each of COCO's IoU thresholds


def _match(
    evaluation: "COCOeval", overlap: SegmentOverlap, predicted: Sequence[int], truth: Sequence[int]
) -> Mapping[str, Any]:
    """Return what COCOeval says of the masks of one class in one image, given by their places."""
    scores = [overlap.predicted[place].score for place in predicted]
    certain = np.array([1.0 if score is None else score for score in scores])
    crowds = np.array([overlap.truth[place].is_crowd for place in truth], dtype=bool)
    rows = np.array(predicted, dtype=np.int64)[np.argsort(-certain, kind="stable")]
    pairs = np.ix_(rows, np.array(truth, dtype=np.int64))
    sizes = overlap.predicted_areas - overlap.on_void  # what is left of each mask beside void
    on_crowd = overlap.pixels[1:, 1:][pairs] / sizes[rows, None]
    # Its own way to these three would code and decode each mask.
    evaluation.ious = {(0, 0): np.where(crowds, on_crowd, overlap.iou[pairs])}
    evaluation._dts = {
        (0, 0): [{"id": i, "area": 0, "score": s} for i, s in enumerate(certain.tolist(), 1)]
    }
    evaluation._gts = {
        (0, 0): [
            {"id": i, "area": 0, "iscrowd": crowd, "ignore": crowd}
            for i, crowd in enumerate(crowds.tolist(), 1)
        ]
    }
    found: Mapping[str, Any] = evaluation.evaluateImg(0, 0, (0, 1), MOST_DETECTIONS)
    return found


def _coco_evaluation() -> "COCOeval":
    """Return COCO's evaluation of one class in one image, of any area."""
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(iouType="segm")
    evaluation.params.imgIds = evaluation.params.catIds = [0]
    evaluation.params.areaRng = [(0, 1)]
    evaluation._paramsEval = evaluation.params
    return evaluation


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
