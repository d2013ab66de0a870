"""Learning with the class embedding and void alone: the masks stay, so they need be made once.

The masks that a query is matched by do not change either: what they cost beside each target is kept
with them, taken at points that are drawn once for each image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import category_logits
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.data.sample_sources import LabelledPictures, Sample, see
from frozenseg_label.training.data.samples import PixelSample
from frozenseg_label.training.data.targets import Doubt, Targets, find_doubt
from frozenseg_label.training.data.tensor_cache import TensorCache
from frozenseg_label.training.loss.criterion import Criterion, Divisors, known_draw
from frozenseg_label.training.loss.matcher import mask_costs, match_targets
from frozenseg_label.training.loss.point_sampling import Draw


@dataclass(frozen=True)
class OutputSample:
    """What the frozen decoder says of one image.

    Attributes:
        name: for messages.
        queries: [Q, C], of which the class embeddings are made.
        costs: [Q, N], what it costs to take each query's mask for each target.
        doubt: queries that lie where little is known; None: none do.
        targets: labels and weights; no masks.
    """

    name: str
    queries: Tensor
    costs: Tensor
    doubt: Doubt | None
    targets: Targets

    @property
    def shape(self) -> tuple[int, int]:
        """Always the same: Q and C."""
        return self.queries.shape[0], self.queries.shape[1]


@dataclass(frozen=True)
class OutputSource:
    """What the frozen decoder says of each picture and of its mirror image.

    Attributes:
        model: its decoder stays as it is but for the class embedding and void.
        cache: where outputs are kept; None makes them anew each time.
        weights: tells the model's weights from others.
        flip: probability of the mirror image.
        bf16: run encoders and decoder under autocast.
        num_points: at which masks are compared with targets.
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

    def name(self, index: int) -> str:
        """The image's name, for messages."""
        return self.pictures.images[index].name

    def load(self, index: int, rng: np.random.Generator) -> OutputSample:
        """Return the decoder's output for one picture, or for its mirror image."""
        return self.outputs(index, bool(rng.random() < self.flip))

    def outputs(self, index: int, mirrored: bool) -> OutputSample:
        """Return the output from the cache, or made now."""
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
        return output_sample(self.name(index), tensors)

    def keep(self, index: int, mirrored: bool) -> None:
        """Have the output for one picture in the cache."""
        self.outputs(index, mirrored)

    def bytes_of(self, index: int) -> int:
        """About how much the output for one picture takes on disk."""
        queries, channels = self.model.transformer_decoder.query_features.shape
        return 4 * queries * (channels + len(self.pictures.truths[index].labels))

    def key(self, index: int, mirrored: bool) -> str:
        """What decides the output, and what it is compared with."""
        image, truth = self.pictures.images[index], self.pictures.truths[index]
        facts = (image.digest, image.label_digest, image.reviewed, truth, image.rejected)
        size, how = self.model.input_size, (self.bf16, self.num_points)
        return f"outputs {facts} {mirrored} {self.weights} {size} {how}"


@torch.no_grad()
def run_decoder(
    model: FrozenSeg, sample: PixelSample, *, num_points: int, seed: int, bf16: bool
) -> dict[str, Tensor]:
    """Run encoders and decoder on one picture; return what `output_sample` needs, on the CPU.

    Args:
        num_points: at which masks are compared with targets.
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
    """The sample of what `run_decoder` returned."""
    doubt = None
    if "doubt.ignored" in tensors:
        doubt = Doubt(*(tensors[f"doubt.{part}"] for part in Doubt.__annotations__))
    targets = Targets(tensors["labels"], torch.empty(0), tensors["weights"])
    return OutputSample(name, tensors["queries"], tensors["costs"], doubt, targets)


@dataclass(frozen=True)
class OutputBatch:
    """Outputs of B images: queries [B, Q, C], and what belongs to each, on the model's device."""

    queries: Tensor
    costs: tuple[Tensor, ...]
    doubts: tuple[Doubt | None, ...]
    targets: tuple[Targets, ...]


class HeadLearner(nn.Module):
    """The class embedding and the void embedding of a model learn; all else stays as it is.

    Args:
        names: the training vocabulary; the labels of the targets are its categories.
    """

    def __init__(self, model: FrozenSeg, names: TextClassifier, criterion: Criterion) -> None:
        super().__init__()
        model.requires_grad_(False)
        self.class_embedding = model.transformer_decoder.class_embedding.requires_grad_()
        self.void_embedding = model.void_embedding.requires_grad_()
        self.scale = model.transformer_decoder.logit_scale
        self.names = names
        self.criterion = criterion

    def prepare(self, samples: Sequence[Sample]) -> OutputBatch:
        """Put outputs into a batch."""
        device = self.void_embedding.device
        outputs = [sample for sample in samples if isinstance(sample, OutputSample)]
        return OutputBatch(
            torch.stack([output.queries for output in outputs]).to(device),
            tuple(output.costs.to(device) for output in outputs),
            tuple(output.doubt.to(device) if output.doubt else None for output in outputs),
            tuple(output.targets.to(device) for output in outputs),
        )

    def forward(self, batch: OutputBatch, divisors: Divisors, draws: Sequence[Draw]) -> Tensor:
        """Return the loss terms of the last layer, [1, 3]; masks cost nothing here."""
        embeddings = self.class_embedding(batch.queries)  # [B, Q, D]
        logits = category_logits(embeddings, self.names, self.void_embedding, self.scale)
        sums = [
            self.criterion.classification(
                classes, target, match_targets(classes, target.labels, costs), doubt
            )
            for classes, target, costs, doubt in zip(
                logits, batch.targets, batch.costs, batch.doubts, strict=True
            )
        ]
        classification = torch.stack(sums).sum() / divisors.queries
        nothing = torch.zeros_like(classification)
        return torch.stack([classification, nothing, nothing])[None]
