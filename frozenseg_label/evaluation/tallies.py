"""All figures of two sets of labels, counted in one pass over the images."""

import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.evaluation.confusions import class_pairs
from frozenseg_label.evaluation.evaluation_report import Figures
from frozenseg_label.evaluation.hotcoco_quality import HotcocoQuality, differences
from frozenseg_label.evaluation.instance_ap import InstanceTally, Precision, mean_precision
from frozenseg_label.evaluation.mask_recall import RecallTally
from frozenseg_label.evaluation.pairing import PairedImage
from frozenseg_label.evaluation.panoptic_quality import (
    CategoryQuality,
    PanopticTally,
    mean_quality,
)
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.evaluation.semantic_iou import SemanticTally
from frozenseg_label.formats.class_png import class_indices
from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)


@dataclass
class Tallies:
    """Counts image by image, then tells the figures of any group of classes.

    Attributes:
        vocabulary: of all maps.
        judged: ids of the classes that can be right: those that the truth knows.
        has_segments: False: pixels have classes, and nothing tells segments of a class apart.
        folder: temporary and empty; hotcoco reads from there.
    """

    vocabulary: Vocabulary
    judged: Collection[int]
    has_segments: bool
    folder: Path
    confused: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        things = [category.id for category in self.vocabulary.categories if category.is_thing]
        self.semantic = SemanticTally(len(self.vocabulary))
        self.instances = InstanceTally(things)
        self.quality: dict[int, CategoryQuality] = {}
        self._precision: dict[int, Precision] = {}
        self._recall = RecallTally()
        self._panoptic = PanopticTally()
        self._hotcoco = HotcocoQuality(self.vocabulary, self.folder)

    def add(self, paired: PairedImage) -> float | None:
        """Count one image; returns its own PQ, or mIoU without segments, None: nothing is in it."""
        predicted = class_indices(paired.predicted, self.vocabulary)  # [H, W]
        truth = class_indices(paired.truth, self.vocabulary)  # [H, W]
        self.semantic.add(predicted, truth)
        if not self.has_segments:
            return _mean_iou(predicted, truth)
        overlap = overlap_of(paired.predicted, paired.truth)
        self._panoptic.add_overlap(overlap)
        self._recall.add(overlap)
        self.instances.add(paired.predicted, paired.truth, overlap)
        self.confused.update(class_pairs(overlap))
        self._hotcoco.add(
            (paired.predicted, paired.predicted_png), (paired.truth, paired.truth_png)
        )
        own = PanopticTally()
        own.add_overlap(overlap)
        mean = own.mean(self.judged)
        return mean.pq if mean.categories else None

    def finish(self) -> None:
        """Work out what needs all images."""
        if not self.has_segments:
            return
        self.quality = self._hotcoco.categories()
        for category_id in differences(self.quality, self._panoptic.categories):
            log.warning(
                "hotcoco and our own count differ on %r: %s, %s; hotcoco's is shown. Please report "
                "this.",
                self.vocabulary.by_id(category_id).name,
                self.quality.get(category_id),
                self._panoptic.categories.get(category_id),
            )
        self._precision = self.instances.categories()

    def figures(self, category_ids: Collection[int]) -> Figures:
        """The figures of a group of classes."""
        indices = [self.vocabulary.index_of(category_id) for category_id in category_ids]
        pixels = {
            "miou": self.semantic.mean(indices),
            "fwiou": self.semantic.weighted_mean(indices),
            "boundary_iou": self.semantic.mean(indices, boundary=True),
        }
        if not self.has_segments:
            occurring = sum(self.occurs(category_id) for category_id in category_ids)
            return Figures(occurring, None, **pixels)
        quality = mean_quality(self.quality, category_ids)
        precision = mean_precision(self._precision, category_ids)
        ap = precision._asdict() if precision is not None else {}
        recalls = self._recall.recall(category_ids)
        recall = dict(zip(("recall50", "recall75", "recall90"), recalls or (), strict=False))
        segments = sum(self._recall.segments(category_id) for category_id in category_ids)
        means = {"pq": quality.pq, "sq": quality.sq, "rq": quality.rq} if quality.categories else {}
        return Figures(quality.categories, segments, **means, **pixels, **ap, **recall)

    def occurs(self, category_id: int) -> bool:
        """Whether the class is among the judged pixels or segments."""
        index = self.vocabulary.index_of(category_id) + 1
        counted = self.semantic.confusion
        in_pixels = counted[index, 1:].sum() + counted[:, index].sum() > 0
        return bool(in_pixels) or category_id in self.quality

    def missed_pixels(self, category_id: int) -> int:
        """True pixels of the class that were not predicted as it."""
        index = self.vocabulary.index_of(category_id)
        right = self.semantic.confusion[index + 1, index + 1]
        return int(self.semantic.true_pixels[index] - right)


def _mean_iou(predicted: NDArray[np.uint16], truth: NDArray[np.uint16]) -> float | None:
    """Mean IoU of one image over the classes that its truth has."""
    values = []
    known = truth > 0
    for index in np.unique(truth[known]).tolist():
        one, other = (predicted == index) & known, truth == index
        values.append(float((one & other).sum() / (one | other).sum()))
    return sum(values) / len(values) if values else None
