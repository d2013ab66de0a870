"""Outputs of the frozen decoder: samples for a training of the class and void embedding only.

The masks do not change in such a training, so they are made once. The costs by which queries are
matched with targets do not change either: they are kept with the outputs, taken at points that are
drawn once for each image.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frozenseg_label.checkpoints.header import CheckpointInfo
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.data.caches import TensorCache
from frozenseg_label.training.data.sample_sources import LabelledPictures
from frozenseg_label.training.data.samples import PixelSample, see
from frozenseg_label.training.data.targets import Doubt, Targets, find_doubt
from frozenseg_label.training.loss.criterion import known_draw
from frozenseg_label.training.loss.matcher import mask_costs
from frozenseg_label.training.settings import TrainSettings


@dataclass(frozen=True)
class OutputSample:
    """The outputs of the frozen decoder for one image.

    Attributes:
        name: for messages.
        queries: [Q, C]; the class embeddings are made of them.
        costs: [Q, N], cost of each query's mask for each target.
        doubt: queries that lie where little is known; None: no query does.
        targets: labels and weights; no masks.
    """

    name: str
    queries: Tensor
    costs: Tensor
    doubt: Doubt | None
    targets: Targets

    @property
    def shape(self) -> tuple[int, int]:
        """Return Q and C, the same for all images."""
        return self.queries.shape[0], self.queries.shape[1]


@dataclass(frozen=True)
class OutputSource:
    """The outputs of the frozen decoder for each picture and for its mirror image.

    Attributes:
        model: only its class embedding and void embedding may change.
        cache: where outputs are kept; None makes them anew each time.
        weights: fingerprint of the model, so that outputs of other weights are not taken.
        flip: probability of the mirror image.
        bf16: run encoders and decoder under autocast.
        num_points: number of points at which masks are compared with targets.
    """

    pictures: LabelledPictures
    model: FrozenSeg
    cache: TensorCache | None
    weights: str
    flip: float
    bf16: bool
    num_points: int

    def __len__(self) -> int:
        return len(self.pictures.images)

    def load(self, index: int, rng: np.random.Generator) -> OutputSample:
        """Return the outputs for one picture, or for its mirror image."""
        return self.outputs(index, bool(rng.random() < self.flip))

    def outputs(self, index: int, mirrored: bool) -> OutputSample:
        """Return the outputs for one picture, from the cache or made now."""
        key = self.key(index, mirrored)
        tensors = self.cache.read(key) if self.cache is not None else None
        if tensors is None:
            sample = self.pictures.prepare(index, mirrored, self.model.input_size)
            seed = int(self.pictures.images[index].digest[:8], 16)
            tensors = run_decoder(
                self.model, sample, num_points=self.num_points, seed=seed, bf16=self.bf16
            )
            if self.cache is not None:
                self.cache.write(key, tensors)
        return output_sample(self.pictures.images[index].name, tensors)

    def keep(self, index: int, mirrored: bool) -> None:
        """Put the outputs for one picture into the cache, if they are missing there."""
        self.outputs(index, mirrored)

    def bytes_of(self, index: int) -> int:
        """Estimate the bytes that the outputs for one picture take on disk."""
        queries, channels = self.model.transformer_decoder.query_features.shape
        return 4 * queries * (channels + len(self.pictures.truths[index].labels))

    def key(self, index: int, mirrored: bool) -> str:
        """Return everything that decides the outputs and their costs, as a text."""
        image, truth = self.pictures.images[index], self.pictures.truths[index]
        facts = (image.digest, image.label_digest, image.reviewed, truth, image.rejected)
        size, how = self.model.input_size, (self.bf16, self.num_points)
        return f"outputs {facts} {mirrored} {self.weights} {size} {how}"


def build_output_source(
    pictures: LabelledPictures,
    model: FrozenSeg,
    info: CheckpointInfo,
    settings: TrainSettings,
    cache: TensorCache,
) -> OutputSource:
    """Return a source of outputs, as the settings want them for a model.

    Args:
        info: of the model's checkpoint.
        cache: used only if the settings want a cache.
    """
    return OutputSource(
        pictures=pictures,
        model=model,
        cache=None if settings.cache == "none" else cache,
        weights=info.fingerprint,
        flip=settings.flip,
        bf16=settings.uses_bf16(model.void_embedding.device.type),
        num_points=settings.num_points,
    )


@torch.no_grad()
def run_decoder(
    model: FrozenSeg, sample: PixelSample, *, num_points: int, seed: int, bf16: bool
) -> dict[str, Tensor]:
    """Run encoders and decoder on one picture; return what `output_sample` needs, on the CPU.

    Args:
        num_points: number of points at which masks are compared with targets.
        seed: of these points.
    """
    device = model.void_embedding.device
    features, targets = see(model, [sample], bf16), sample.targets.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        decoded = model.transformer_decoder(model.pixel_decoder(features), features.sam)
    masks = decoded.mask_logits[0]
    costs = masks.new_empty(len(masks), 0)
    if len(targets.labels):
        generator = torch.Generator().manual_seed(seed)
        draw = known_draw(
            lambda shape: torch.rand(shape, generator=generator).to(device), targets.known
        )
        costs = mask_costs(masks, targets.masks, draw((1, num_points, 2))[0])
    tensors = {
        "queries": decoded.query_embeddings[0],
        "costs": costs,
        "labels": targets.labels,
        "weights": targets.target_weights,
    }
    doubt = find_doubt(masks, targets)
    if doubt is not None:
        tensors |= {f"doubt.{name}": value for name, value in vars(doubt).items()}
    return {name: value.cpu() for name, value in tensors.items()}


def output_sample(name: str, tensors: Mapping[str, Tensor]) -> OutputSample:
    """Make a sample of the tensors that `run_decoder` returned."""
    doubt = None
    if "doubt.ignored" in tensors:
        doubt = Doubt(*(tensors[f"doubt.{part}"] for part in Doubt.__annotations__))
    targets = Targets(tensors["labels"], torch.empty(0), tensors["weights"])
    return OutputSample(name, tensors["queries"], tensors["costs"], doubt, targets)
