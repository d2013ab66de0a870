"""What the training loop is fed with: samples (image, masks) and batches (features, targets)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.model.proposals import Features
from frozenseg_label.training.criterion import Targets


@dataclass(frozen=True)
class TrainingSample:
    """One image and what it is known to show.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        masks: bool [N, H, W].
        labels: int64 [N], indices into the training vocabulary.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class TrainingBatch:
    """What the frozen encoders see in B images, and the targets of each."""

    features: Features
    targets: tuple[Targets, ...]

    def to(self, device: torch.device) -> "TrainingBatch":
        """Return the same on another device."""
        targets = (Targets(t.labels.to(device), t.masks.to(device)) for t in self.targets)
        return TrainingBatch(self.features.to(device), tuple(targets))


BatchSource = Callable[[int], TrainingBatch]
"""Gives the batch of a step, the same one whenever it is asked: that makes resuming exact."""


def sample_from_ids(
    image: NDArray[np.uint8], ids: NDArray[np.int32], labels: Mapping[int, int]
) -> TrainingSample:
    """Take the segments of a panoptic map that have a label.

    Args:
        ids: int32 [H, W].
        labels: index into the training vocabulary of each segment id; other ids are no targets.
    """
    known = sorted(labels.keys() & set(np.unique(ids).tolist()))
    masks = ids[None] == np.array(known, dtype=np.int32)[:, None, None]  # [N, H, W]
    return TrainingSample(image, masks, np.array([labels[i] for i in known], dtype=np.int64))
