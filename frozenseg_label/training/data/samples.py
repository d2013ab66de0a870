"""A sample: one image in a form that a learner takes, with its targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.preprocess import Size, prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.settings import InputSize
from frozenseg_label.training.data.augmentation import Window
from frozenseg_label.training.data.targets import Targets, Truth, targets_of


class Sample(Protocol):
    """One image in any form."""

    @property
    def name(self) -> str:
        """Return the image's name, for messages."""
        ...

    @property
    def targets(self) -> Targets:
        """Return what the image shows."""
        ...

    @property
    def shape(self) -> Size:
        """Return a height and width; samples that share them can be put into one batch."""
        ...


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
        """Return height and width with the padding."""
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
        """Return height and width of the finest features."""
        return self.features.pyramid[0].shape[-2], self.features.pyramid[0].shape[-1]


def prepare_sample(
    name: str, picture: NDArray[np.uint8], ids: NDArray[np.int32], truth: Truth, size: InputSize
) -> PixelSample:
    """Resize and pad a picture as for labelling, and its ids with it.

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


@torch.no_grad()
def see(model: FrozenSeg, samples: Sequence[PixelSample], bf16: bool) -> Features:
    """Run both frozen encoders on samples of one shape; the features are on the model's device."""
    device = model.void_embedding.device
    pixels = torch.stack([sample.pixels for sample in samples]).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return model.extract_features(pixels, [sample.image_size for sample in samples])
