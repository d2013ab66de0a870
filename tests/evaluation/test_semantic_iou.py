"""IoU of the pixels' classes, against detectron2's saved figures and against the definition."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion, minimum_filter

from frozenseg_label.evaluation.semantic_iou import (
    SemanticTally,
    boundary_width,
    is_boundary,
)

CLASSES = 6
IGNORED = 255

Labels = NDArray[np.int64]


def golden_labels(golden: Path) -> list[tuple[Labels, Labels]]:
    """Predicted and true classes, counted from 0 as detectron2 does; 255 is not judged."""
    pairs = []
    for path in sorted((golden / "sem_gt").iterdir()):
        both = golden / "sem_pred" / path.name, path
        predicted, truth = (np.asarray(Image.open(one)).astype(np.int64) for one in both)
        pairs.append((predicted, truth))
    return pairs


def expected(golden: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((golden / "expected.json").read_text())["sem_seg"]
    return figures


def test_iou_equals_detectron2s(golden: Path) -> None:
    tally = SemanticTally(CLASSES)
    for predicted, truth in golden_labels(golden):
        tally.add(predicted + 1, np.where(truth == IGNORED, 0, truth + 1))
    figures, every = expected(golden), range(CLASSES)
    assert 100 * (tally.mean(every) or 0) == pytest.approx(figures["mIoU"], abs=1e-9)
    assert 100 * (tally.weighted_mean(every) or 0) == pytest.approx(figures["fwIoU"], abs=1e-9)
    for index in every:
        assert 100 * tally.iou[index] == pytest.approx(
            figures[f"IoU-k{index}"], abs=1e-9, nan_ok=True
        )


def test_boundaries_are_as_wide_as_detectron2s(golden: Path) -> None:
    # detectron2 erodes the label map, subtracts, and compares what is left: see the module.
    def subtracted(labels: Labels) -> Labels:
        size = 2 * boundary_width(*labels.shape) + 1
        eroded = minimum_filter(labels, size=size, mode="constant", cval=0)
        return labels - eroded

    size = CLASSES + 1
    counted = np.zeros((size, size))
    for predicted, truth in golden_labels(golden):
        known = np.where(truth == IGNORED, CLASSES, truth)  # it gives void the next number
        codes = size * subtracted(predicted) + subtracted(known)
        counted += np.bincount(codes.ravel(), minlength=size * size).reshape(size, size)
    both = counted.diagonal()[:-1]
    union = counted[:-1, :-1].sum(axis=0) + counted[:-1, :-1].sum(axis=1) - both
    figures = expected(golden)
    for index in range(CLASSES):
        if union[index]:
            assert 100 * both[index] / union[index] == pytest.approx(
                figures[f"BoundaryIoU-k{index}"], abs=1e-9
            )


LABELS = arrays(np.int64, (7, 9), elements=st.integers(0, 3))


@given(LABELS)
def test_a_boundary_is_what_the_erosion_of_each_class_takes_away(labels: Labels) -> None:
    width = boundary_width(*labels.shape)
    found = is_boundary(labels)
    for index in range(4):
        mask = labels == index
        eroded = binary_erosion(mask, np.ones((3, 3)), iterations=width)
        assert np.array_equal(mask & ~eroded, mask & found)


@given(LABELS)
def test_a_map_agrees_with_itself_inside_and_at_its_edges(labels: Labels) -> None:
    tally = SemanticTally(3)
    tally.add(labels, labels)
    there = sorted({*labels.ravel().tolist()} - {0})
    for index in there:
        assert tally.iou[index - 1] == 1.0
        assert tally.boundary_iou[index - 1] == 1.0
    assert tally.mean(range(3)) == (1.0 if there else None)


def test_unlabelled_truth_is_not_judged_and_an_unlabelled_prediction_is_a_miss() -> None:
    tally = SemanticTally(2)
    tally.add(np.array([[1, 1, 1, 0]]), np.array([[1, 0, 0, 1]]))
    assert tally.iou[0] == 0.5
    assert np.isnan(tally.iou[1])
    assert tally.true_pixels.tolist() == [2, 0]


def test_a_means_classes_can_be_chosen_and_be_weighted_by_their_pixels() -> None:
    tally = SemanticTally(3)
    tally.add(np.array([[1, 1, 1, 3]]), np.array([[1, 1, 1, 2]]))
    assert tally.mean([0, 1, 2]) == 0.5
    assert tally.mean([0]) == 1.0
    assert tally.mean([2]) is None
    assert tally.weighted_mean([0, 1, 2]) == 0.75
    assert tally.weighted_mean([2]) is None


def test_images_add_up() -> None:
    tally = SemanticTally(1)
    tally.add(np.array([[1, 1]]), np.array([[1, 1]]))
    tally.add(np.array([[0, 0]]), np.array([[1, 1]]))
    assert tally.iou.tolist() == [0.5]
    with pytest.raises(ValueError, match="sizes"):
        tally.add(np.ones((1, 2), dtype=int), np.ones((2, 1), dtype=int))
