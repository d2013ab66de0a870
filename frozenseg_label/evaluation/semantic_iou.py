"""How well the classes of pixels agree: mIoU, frequency weighted IoU, boundary IoU.

IoU of a class: pixels that both call so, over pixels that either calls so, summed over all images
(mIoU and fwIoU as in Long et al. 2015, arXiv 1411.4038, and in detectron2's SemSegEvaluator).
Classes without true pixels have no IoU and are in no mean. A pixel that the prediction leaves
unlabelled is a missed one.

Boundary IoU (Cheng et al. 2021, arXiv 2103.16562) is the same for the pixels of each class that lie
within a small distance of the class's edge. detectron2 takes the edges of the whole label map by
subtracting class numbers from each other, so that its figure depends on how the classes are
numbered; here every class has its own edge. For one class against the rest both are the same.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

BOUNDARY_SHARE = 0.02  # of the image's diagonal: how far a boundary reaches inwards (Cheng et al.)


@dataclass
class SemanticTally:
    """Counts image by image; keeps numbers of pixels, K x K of them.

    Attributes:
        classes: K, number of classes.
        confusion: int64 [1 + K, 1 + K], pixels by predicted (row) and true class; 0 = unlabelled.
        predicted_pixels: int64 [K], pixels that are predicted as the class where truth has a label.
        true_pixels: int64 [K], pixels of the class in the truth.
        boundary: int64 [3, 1 + K], boundary pixels of each class: of both, predicted, true.
    """

    classes: int
    confusion: NDArray[np.int64] = field(init=False)
    predicted_pixels: NDArray[np.int64] = field(init=False)
    true_pixels: NDArray[np.int64] = field(init=False)
    boundary: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.classes + 1, self.classes + 1), dtype=np.int64)
        self.predicted_pixels = np.zeros(self.classes, dtype=np.int64)
        self.true_pixels = np.zeros(self.classes, dtype=np.int64)
        self.boundary = np.zeros((3, self.classes + 1), dtype=np.int64)

    def add(self, predicted: NDArray[np.integer], truth: NDArray[np.integer]) -> None:
        """Count one image: the class of each pixel [H, W], 1..K, 0 = unlabelled."""
        rows, columns, pixels = class_overlap(predicted, truth)
        self.confusion[np.ix_(rows, columns)] += pixels
        known = columns > 0
        self.true_pixels[columns[known] - 1] += pixels.sum(axis=0)[known]
        labelled = rows > 0
        self.predicted_pixels[rows[labelled] - 1] += pixels[:, known].sum(axis=1)[labelled]
        is_known = truth > 0  # [H, W]
        edges = [
            np.where(is_known & is_boundary(labels), labels, 0) for labels in (predicted, truth)
        ]
        both = np.where(edges[0] == edges[1], edges[0], 0)
        for row, labels in enumerate((both, *edges)):
            self.boundary[row] += np.bincount(labels.ravel(), minlength=self.classes + 1)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Return the IoU of each class [K]; NaN if it is not in the truth."""
        both = self.confusion.diagonal()[1:]
        union = self.predicted_pixels + self.true_pixels - both
        return _share(both, union, self.true_pixels > 0)

    @property
    def boundary_iou(self) -> NDArray[np.float64]:
        """Return the boundary IoU of each class [K]; NaN if it is not in the truth."""
        both, predicted, true = self.boundary[:, 1:]
        return _share(both, predicted + true - both, self.true_pixels > 0)

    def mean(self, indices: Collection[int], *, boundary: bool = False) -> float | None:
        """Return the mean IoU of those of the classes (0..K-1) that are in the truth, or None."""
        of_class = self.boundary_iou if boundary else self.iou
        values = of_class[sorted(indices)]
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else None

    def weighted_mean(self, indices: Collection[int]) -> float | None:
        """Return the mean IoU, each class weighted by its true pixels; None if there are none."""
        chosen = sorted(indices)
        values, weights = self.iou[chosen], self.true_pixels[chosen]
        known = weights > 0
        if not known.any():
            return None
        return float(np.average(values[known], weights=weights[known]))


def class_overlap(
    predicted: NDArray[np.integer], truth: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the classes in each of two maps [H, W], ascending, and the pixels of each pair.

    The table is as large as the image's own classes want, however many there are in all.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"maps of sizes {predicted.shape} and {truth.shape}")
    (rows, row), (columns, column) = _places(predicted), _places(truth)
    codes = row[predicted] * len(columns) + column[truth]  # [H, W]
    pixels = np.bincount(codes.ravel(), minlength=len(rows) * len(columns))
    return rows, columns, pixels.reshape(len(rows), len(columns))


def _places(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the classes that occur, and by class its place among them."""
    occurs = np.bincount(labels.ravel()) > 0
    return occurs.nonzero()[0], occurs.cumsum() - 1


def is_boundary(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the pixels [H, W] with another class or the image's edge within the boundary's width.

    That is what is left of each class's mask when it is eroded by 3 x 3 as often as the boundary is
    wide, the way of Cheng et al.; two filters do it for all classes at once.
    """
    width = boundary_width(*labels.shape)
    size = 2 * width + 1
    known = labels.astype(np.int32)
    lowest = minimum_filter(known, size=size, mode="constant", cval=-1)
    highest = maximum_filter(known, size=size, mode="constant", cval=-1)
    differs: NDArray[np.bool_] = lowest != highest
    return differs


def boundary_width(height: int, width: int) -> int:
    """Return how many pixels a boundary is wide, at least 1."""
    return max(1, round(BOUNDARY_SHARE * float(np.hypot(height, width))))


def _share(
    part: NDArray[np.int64], whole: NDArray[np.int64], valid: NDArray[np.bool_]
) -> NDArray[np.float64]:
    share = np.full(part.shape, np.nan)
    np.divide(part, whole, out=share, where=valid & (whole > 0))
    return share
