"""How much PQ would change with other scenes: the bootstrap over scenes (Efron 1979)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.evaluation.panoptic_quality import CategoryQuality, PanopticTally

RESAMPLES = 500

Counts = NDArray[np.float64]  # [N, K, 4]: of N scenes and K classes, as `counts_of` has them


def counts_of(tally: PanopticTally, ids: Sequence[int]) -> NDArray[np.float64]:
    """Return summed IoU of the pairs, pairs, spurious and missed segments of each class, [K, 4]."""
    found = tally.categories
    return np.array([astuple(found.get(category_id, CategoryQuality())) for category_id in ids])


def standard_errors(
    ways: Mapping[str, Counts], groups: Mapping[str, Collection[int]], base: str
) -> dict[str, float]:
    """Return standard errors in points: of each way's PQ, and of its gain over the base.

    Every way is counted on the same resampled scenes, so the error of the gain is the smaller one.
    Judge a gain by it.

    Args:
        ways: counts of the same scenes and classes.
        groups: name -> places of its classes, 0..K-1.
        base: the way that the others are compared with.
    """
    scenes = len(ways[base])
    drawn = np.random.default_rng(0).multinomial(scenes, np.full(scenes, 1 / scenes), RESAMPLES)
    errors = {}
    for group, places in groups.items():
        resampled = {way: _mean_pq(drawn, counts, places) for way, counts in ways.items()}
        for way, values in resampled.items():
            errors[f"{way}: PQ {group}, standard error"] = float(values.std(ddof=1))
            if way != base:
                gain = float((values - resampled[base]).std(ddof=1))
                errors[f"{way}: PQ {group}, standard error of the gain"] = gain
    return errors


def _mean_pq(
    drawn: NDArray[np.int64], counts: Counts, places: Collection[int]
) -> NDArray[np.float64]:
    """Return PQ in points, the mean over the classes that occur, of every resample [R, N]."""
    iou, pairs, spurious, missed = np.moveaxis(
        np.tensordot(drawn, counts[:, sorted(places)], axes=1), -1, 0
    )  # each [R, classes]
    halves = pairs + (spurious + missed) / 2
    quality = np.divide(iou, halves, out=np.zeros_like(iou), where=halves > 0)
    means: NDArray[np.float64] = quality.sum(axis=1) / np.maximum((halves > 0).sum(axis=1), 1)
    return 100.0 * means
