"""Where the samples of a training come from: pictures, augmented; or features kept on disk."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.inference.preprocess import resized_size
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.settings import InputSize
from frozenseg_label.training.data.augmentation import Augmentation
from frozenseg_label.training.data.labelled_images import LabelledImage
from frozenseg_label.training.data.samples import (
    FeatureSample,
    PixelSample,
    Truth,
    prepare_sample,
    targets_of,
)
from frozenseg_label.training.data.targets import Targets
from frozenseg_label.training.data.tensor_cache import TensorCache

STRIDES = (4, 8, 16, 32)  # of CLIP's pyramid; where the last is 16, files are a little larger


class Sample(Protocol):
    """What a learner learns from: one image in some form."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def targets(self) -> Targets:
        """What the image shows."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Samples of equal shape can be batched."""
        ...


class Source(Protocol):
    """Images by number."""

    def __len__(self) -> int: ...

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Return one image, varied as the random numbers say.

        Raises ImageError or FormatError where its files cannot be read.
        """
        ...


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with their truth, in the order of a list.

    Attributes:
        images: the list.
        truths: one for each of them.
    """

    images: Sequence[LabelledImage]
    truths: Sequence[Truth]

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], Truth]:
        """The picture [H, W, 3], its ids [H, W] and what they teach."""
        image = self.images[index]
        return image.read_picture(), image.read_ids(), self.truths[index]

    def prepare(self, index: int, mirrored: bool, size: InputSize) -> PixelSample:
        """The picture, or its mirror image, as the model sees pictures when it labels them."""
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

    def name(self, index: int) -> str:
        """The image's name, for messages."""
        return self.pictures.images[index].name

    def load(self, index: int, rng: np.random.Generator) -> PixelSample:
        """Read and augment one picture."""
        picture, ids, truth = self.pictures.read(index)
        picture, ids = self.augmentation(picture, ids, rng)
        pixels = torch.from_numpy(picture).permute(2, 0, 1).float()
        size = (picture.shape[0], picture.shape[1])
        return PixelSample(self.name(index), pixels, size, targets_of(ids, truth))


@dataclass(frozen=True)
class PoolSource:
    """Samples that lie in memory."""

    samples: Sequence[FeatureSample]

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, index: int, rng: np.random.Generator) -> FeatureSample:
        """Return one sample as it is."""
        return self.samples[index]


@dataclass(frozen=True)
class FeatureSource:
    """What the frozen encoders see of each picture and of its mirror image, kept on disk.

    Attributes:
        model: sees what is not in the cache yet.
        frozen: tells its encoders from others.
        flip: probability of the mirror image.
        bf16: see in bfloat16; the cache holds bfloat16 in any case.
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

    def name(self, index: int) -> str:
        """The image's name, for messages."""
        return self.pictures.images[index].name

    def load(self, index: int, rng: np.random.Generator) -> FeatureSample:
        """Return one picture's features, or those of its mirror image."""
        mirrored = bool(rng.random() < self.flip)
        sample = self.pictures.prepare(index, mirrored, self.model.input_size)
        return FeatureSample(sample.name, self.features(index, mirrored, sample), sample.targets)

    def features(self, index: int, mirrored: bool, sample: PixelSample | None = None) -> Features:
        """Return the features of one picture, bfloat16 on the CPU, from the cache or seen now."""
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
        """Have the features of one picture in the cache."""
        self.features(index, mirrored)

    def bytes_of(self, index: int) -> int:
        """About how much the features of one picture take on disk."""
        size = self.model.input_size
        inner = resized_size(self.pictures.images[index].size, size.shortest, size.longest)
        height, width = (-(-side // size.divisor) * size.divisor for side in inner)
        side = self.model.sam.image_size // 16
        per_pixel = sum(c / s**2 for c, s in zip(self.model.clip.channels, STRIDES, strict=True))
        dense = self.model.clip.channels[-1] / STRIDES[-1] ** 2
        values = (per_pixel + dense) * height * width + self.model.sam.channels * side**2
        return round(2 * values)

    def key(self, index: int, mirrored: bool) -> str:
        """What decides the features."""
        size = self.model.input_size
        digest = self.pictures.images[index].digest
        return f"features {digest} {mirrored} {self.frozen} {size} {self.bf16}"


@torch.no_grad()
def see(model: FrozenSeg, samples: Sequence[PixelSample], bf16: bool) -> Features:
    """Run both frozen encoders on samples of one shape; the features are on the model's device."""
    device = model.void_embedding.device
    pixels = torch.stack([sample.pixels for sample in samples]).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return model.extract_features(pixels, [sample.image_size for sample in samples])
