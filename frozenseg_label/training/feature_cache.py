"""Features of the frozen encoders: they never change, so an image need be seen but once.

The cache lies in main memory whatever device the model is on; `train_step` moves each batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.training.criterion import Targets
from frozenseg_label.training.dataset import BatchSource, TrainingBatch, TrainingSample


@dataclass(frozen=True)
class CachedSample:
    """A sample that the encoders have seen, on the CPU.

    Attributes:
        features: of a batch of one image, in bfloat16 to halve the memory.
        labels: int64 [N].
        masks: bool [N, h, w] over the padded input.
    """

    features: Features
    labels: Tensor
    masks: Tensor


@torch.no_grad()
def see_sample(model: FrozenSeg, sample: TrainingSample) -> CachedSample:
    """Run both frozen encoders on one sample."""
    size = model.input_size
    prepared = prepare_image(sample.image, size.shortest, size.longest, size.divisor)
    device = model.void_embedding.device
    features = model.extract_features(prepared.pixels[None].to(device), [prepared.image_size])
    masks = torch.from_numpy(sample.masks)[:, None].to(torch.uint8)  # [N, 1, H, W]
    if masks.shape[0]:
        masks = F.interpolate(masks, size=prepared.image_size, mode="nearest-exact")
    height, width = prepared.pixels.shape[-2:]
    (inner_height, inner_width) = prepared.image_size
    masks = F.pad(masks, (0, width - inner_width, 0, height - inner_height))[:, 0].bool()
    cached = features.to(torch.bfloat16).to(torch.device("cpu"))
    return CachedSample(cached, torch.from_numpy(sample.labels), masks)


def shuffled_batches(pool: Sequence[CachedSample], batch_size: int, seed: int) -> BatchSource:
    """Go through a pool again and again, in a new order each time; all have one padded size."""
    if not 0 < batch_size <= len(pool):
        raise ValueError(f"a pool of {len(pool)} samples gives no batches of {batch_size}")
    per_round = len(pool) // batch_size

    def batch_of(step: int) -> TrainingBatch:
        order = np.random.default_rng((seed, step // per_round)).permutation(len(pool))
        first = step % per_round * batch_size
        return collate([pool[i] for i in order[first : first + batch_size]])

    return batch_of


def collate(samples: Sequence[CachedSample]) -> TrainingBatch:
    """Put samples of one padded size into a float32 batch, on the CPU."""
    features = [sample.features.to(torch.float32) for sample in samples]
    levels = zip(*(f.pyramid for f in features), strict=True)
    one, two, three, four = (torch.cat(level) for level in levels)
    return TrainingBatch(
        Features(
            pyramid=(one, two, three, four),
            dense=torch.cat([f.dense for f in features]),
            sam=torch.cat([f.sam for f in features]),
        ),
        tuple(Targets(sample.labels, sample.masks.float()) for sample in samples),
    )


def cache_samples(model: FrozenSeg, samples: Iterable[TrainingSample]) -> list[CachedSample]:
    """Run both frozen encoders on all samples, one by one."""
    return [see_sample(model, sample) for sample in samples]
