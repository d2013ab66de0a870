"""From a map of ids to what a training step is fed with.

An image travels through augmentation as one map of ids, so that nothing can come apart: ids of
segments that are truth, 0 for what is known to be nothing, and two kinds of ids above those that
segments can have, for what is not known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.preprocess import Size, prepare_image
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.settings import InputSize
from frozenseg_label.panoptic import MAX_SEGMENT_ID
from frozenseg_label.training.data.augmentation import Window
from frozenseg_label.training.data.targets import Targets

IGNORED = MAX_SEGMENT_ID + 1  # id of pixels of which nothing is known
FIRST_REFUSED = IGNORED + 1  # id of the pixels of the first segment that a person refused


@dataclass(frozen=True)
class Truth:
    """What the ids of one image's map teach.

    Attributes:
        labels: index into the training vocabulary of each id that is a target.
        refused: the same of each id from `FIRST_REFUSED` on: this class it is not.
        weights: of targets that do not count 1.
    """

    labels: Mapping[int, int]
    refused: Mapping[int, int] = field(default_factory=dict)
    weights: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PixelSample:
    """An image that the encoders have not seen.

    Attributes:
        name: for messages.
        pixels: float32 [3, h, w] RGB 0..255.
        image_size: height and width inside the padding.
        targets: over the padded image.
    """

    name: str
    pixels: Tensor
    image_size: Size
    targets: Targets

    @property
    def shape(self) -> Size:
        """Height and width with the padding; samples of one batch share it."""
        return self.pixels.shape[1], self.pixels.shape[2]


@dataclass(frozen=True)
class FeatureSample:
    """An image that the encoders have seen.

    Attributes:
        name: for messages.
        features: of a batch of one image.
        targets: over the padded image.
    """

    name: str
    features: Features
    targets: Targets

    @property
    def shape(self) -> Size:
        """Height and width of the finest features; samples of one batch share it."""
        return self.features.pyramid[0].shape[-2], self.features.pyramid[0].shape[-1]


def prepare_sample(
    name: str, picture: NDArray[np.uint8], ids: NDArray[np.int32], truth: Truth, size: InputSize
) -> PixelSample:
    """Return a picture and its ids as the model sees pictures when it labels them.

    Args:
        picture: uint8 [H, W, 3] RGB.
        ids: int32 [H, W], as `targets_of` takes them.
        size: of the model's input.
    """
    prepared = prepare_image(picture, size.shortest, size.longest, size.divisor)
    rows, columns = (
        Window(full=to, start=0, length=to, pixels=of).nearest()
        for to, of in zip(prepared.framing.image, ids.shape, strict=True)
    )
    padded = np.zeros(prepared.framing.padded, np.int32)
    padded[: len(rows), : len(columns)] = ids[rows[:, None], columns]
    return PixelSample(name, prepared.pixels, prepared.framing.image, targets_of(padded, truth))


def targets_of(ids: NDArray[np.int32], truth: Truth) -> Targets:
    """Return the masks of the ids that are targets, and the regions of which nothing is known.

    Args:
        ids: int32 [H, W]; others than those that `truth` and this module name are nothing.
    """
    found = set(np.unique(ids).tolist())
    known = sorted(found & truth.labels.keys())
    refused = sorted(found & truth.refused.keys())
    ignored = torch.from_numpy(ids >= IGNORED) if max(found, default=0) >= IGNORED else None
    weights = [truth.weights.get(id_, 1.0) for id_ in known]
    return Targets(
        labels=torch.tensor([truth.labels[id_] for id_ in known], dtype=torch.int64),
        masks=_masks(ids, known),
        weights=torch.tensor(weights) if truth.weights else None,
        ignored=ignored,
        refused_labels=torch.tensor([truth.refused[id_] for id_ in refused]) if refused else None,
        refused=_masks(ids, refused) if refused else None,
    )


def _masks(ids: NDArray[np.int32], wanted: Sequence[int]) -> Tensor:
    """Return bool [N, H, W]."""
    return torch.from_numpy(ids[None] == np.array(wanted, dtype=np.int32)[:, None, None])
