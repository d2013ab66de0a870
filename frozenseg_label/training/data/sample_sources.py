"""Sources of samples: pictures that are augmented, or features that are kept on disk."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.checkpoints.header import CheckpointInfo
from frozenseg_label.errors import TrainingError
from frozenseg_label.inference.preprocess import resized_size
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.settings import InputSize
from frozenseg_label.training.data.augmentation import Augmentation
from frozenseg_label.training.data.caches import TensorCache
from frozenseg_label.training.data.labelled_images import LabelledImage
from frozenseg_label.training.data.samples import (
    FeatureSample,
    PixelSample,
    Sample,
    prepare_sample,
    see,
)
from frozenseg_label.training.data.targets import Truth, targets_of
from frozenseg_label.training.settings import TrainSettings

STRIDES = (4, 8, 16, 32)  # of CLIP's pyramid; files are a little larger if the last one is 16


class SampleSource(Protocol):
    """Samples by the number of their image."""

    def __len__(self) -> int: ...

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Return the sample of one image, varied as the random numbers say.

        Raises ImageError or FormatError if its files cannot be read.
        """
        ...


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with their truth, by number.

    Attributes:
        images: the labelled images.
        truths: one for each image.
    """

    images: Sequence[LabelledImage]
    truths: Sequence[Truth]

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], Truth]:
        """Return a picture [H, W, 3], its ids [H, W] and what they teach."""
        image = self.images[index]
        return image.read_picture(), image.read_ids(), self.truths[index]

    def prepare(self, index: int, mirrored: bool, size: InputSize) -> PixelSample:
        """Return a picture, or its mirror image, resized and padded as for labelling."""
        picture, ids, truth = self.read(index)
        if mirrored:
            picture, ids = np.ascontiguousarray(picture[:, ::-1]), ids[:, ::-1]
        return prepare_sample(self.images[index].name, picture, ids, truth, size)


@dataclass(frozen=True)
class PixelSource:
    """Pictures that are augmented anew each time, before the encoders see them."""

    pictures: LabelledPictures
    augmentation: Augmentation

    def __len__(self) -> int:
        return len(self.pictures.images)

    def load(self, index: int, rng: np.random.Generator) -> PixelSample:
        """Read and augment one picture."""
        picture, ids, truth = self.pictures.read(index)
        picture, ids = self.augmentation(picture, ids, rng)
        pixels = torch.from_numpy(picture).permute(2, 0, 1).float()
        size, name = (picture.shape[0], picture.shape[1]), self.pictures.images[index].name
        return PixelSample(name, pixels, size, targets_of(ids, truth))


def build_pixel_source(
    pictures: LabelledPictures, model: FrozenSeg, settings: TrainSettings
) -> PixelSource:
    """Return a source of augmented pictures, as the settings want them for a model.

    Raises:
        TrainingError: the size of the crop does not fit the model.
    """
    size = settings.crop_size or model.sam.image_size
    if size % model.input_size.divisor:
        raise TrainingError(
            f"crop_size must be a multiple of {model.input_size.divisor}, got {size}"
        )
    return PixelSource(
        pictures, Augmentation(settings.flip, settings.scale, size, settings.color_jitter)
    )


@dataclass(frozen=True)
class PoolSource:
    """Samples that are in memory."""

    samples: Sequence[FeatureSample]

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, index: int, rng: np.random.Generator) -> FeatureSample:
        """Return one sample as it is."""
        return self.samples[index]


@dataclass(frozen=True)
class FeatureSource:
    """The frozen encoders' features of each picture and of its mirror image, kept on disk.

    Attributes:
        model: makes the features that are not in the cache yet.
        frozen: hashes of its encoders, so that features of other encoders are not taken.
        flip: probability of the mirror image.
        bf16: run the encoders in bfloat16; the cache holds bfloat16 in any case.
    """

    pictures: LabelledPictures
    model: FrozenSeg
    cache: TensorCache
    frozen: str
    flip: float
    bf16: bool
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.pictures.images)

    def load(self, index: int, rng: np.random.Generator) -> FeatureSample:
        """Return the features of one picture, or of its mirror image."""
        mirrored = bool(rng.random() < self.flip)
        sample = self.pictures.prepare(index, mirrored, self.model.input_size)
        return FeatureSample(sample.name, self.features(index, mirrored, sample), sample.targets)

    def features(self, index: int, mirrored: bool, sample: PixelSample | None = None) -> Features:
        """Return the features of one picture, bfloat16 on the CPU, from the cache or made now."""
        key = self.key(index, mirrored)
        kept = self.cache.read(key)
        if kept is not None:
            one, two, three, four = (kept[f"pyramid.{level}"] for level in range(4))
            return Features((one, two, three, four), kept["dense"], kept["sam"])
        sample = sample or self.pictures.prepare(index, mirrored, self.model.input_size)
        with self._lock:
            features = see(self.model, [sample], self.bf16)
        features = features.to(torch.bfloat16).to(torch.device("cpu"))
        tensors = {f"pyramid.{level}": x for level, x in enumerate(features.pyramid)}
        self.cache.write(key, {**tensors, "dense": features.dense, "sam": features.sam})
        return features

    def keep(self, index: int, mirrored: bool) -> None:
        """Put the features of one picture into the cache, if they are missing there."""
        self.features(index, mirrored)

    def bytes_of(self, index: int) -> int:
        """Estimate the bytes that the features of one picture take on disk."""
        size = self.model.input_size
        inner = resized_size(self.pictures.images[index].size, size.shortest, size.longest)
        height, width = (-(-side // size.divisor) * size.divisor for side in inner)
        side = self.model.sam.image_size // 16
        per_pixel = sum(c / s**2 for c, s in zip(self.model.clip.channels, STRIDES, strict=True))
        dense = self.model.clip.channels[-1] / STRIDES[-1] ** 2
        values = (per_pixel + dense) * height * width + self.model.sam.channels * side**2
        return round(2 * values)

    def key(self, index: int, mirrored: bool) -> str:
        """Return everything that decides the features, as a text."""
        size = self.model.input_size
        digest = self.pictures.images[index].digest
        return f"features {digest} {mirrored} {self.frozen} {size} {self.bf16}"


def build_feature_source(
    pictures: LabelledPictures,
    model: FrozenSeg,
    info: CheckpointInfo,
    settings: TrainSettings,
    cache: TensorCache,
) -> FeatureSource:
    """Return a source of features, as the settings want them for a model.

    Args:
        info: of the model's checkpoint.
    """
    frozen = f"{info.clip_hash} {info.sam_hash}"
    bf16 = settings.uses_bf16(model.void_embedding.device.type)
    return FeatureSource(pictures, model, cache, frozen, settings.flip, bf16)
