"""Learning with the whole decoder: what every layer says of a batch, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import category_logits
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.data.sample_sources import Sample, see
from frozenseg_label.training.data.samples import FeatureSample, PixelSample
from frozenseg_label.training.data.targets import Targets
from frozenseg_label.training.loss.criterion import Criterion, Divisors, LayerPrediction
from frozenseg_label.training.loss.point_sampling import Draw


@dataclass(frozen=True)
class FeatureBatch:
    """What the frozen encoders see in B images, and the targets of each, on the model's device."""

    features: Features
    targets: tuple[Targets, ...]


class DecoderLearner(nn.Module):
    """Pixel decoder, transformer decoder and void embedding learn; the encoders do not.

    Args:
        names: the training vocabulary; the labels of the targets are its categories.
        bf16: run encoders and decoder under autocast; losses stay float32.
    """

    def __init__(
        self, model: FrozenSeg, names: TextClassifier, criterion: Criterion, *, bf16: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.criterion = criterion
        self.bf16 = bf16

    def prepare(self, samples: Sequence[Sample]) -> FeatureBatch:
        """Put samples of one shape into a batch; pictures are seen by the encoders here."""
        device = self.model.void_embedding.device
        targets = tuple(sample.targets.to(device) for sample in samples)
        seen = [sample.features for sample in samples if isinstance(sample, FeatureSample)]
        if seen:
            return FeatureBatch(join_features(seen).to(device), targets)
        pictures = [sample for sample in samples if isinstance(sample, PixelSample)]
        return FeatureBatch(see(self.model, pictures, self.bf16), targets)

    def forward(self, batch: FeatureBatch, divisors: Divisors, draws: Sequence[Draw]) -> Tensor:
        """Return the loss terms, not yet weighted, [layers, 3]: before the first, after each."""
        terms = [
            torch.stack(self.criterion.layer_terms(prediction, batch.targets, divisors, draws))
            for prediction in self.predict_all_layers(batch.features)
        ]
        return torch.stack(terms)

    def predict_all_layers(self, features: Features) -> list[LayerPrediction]:
        """Return what the decoder says before its first layer and after each, the last one last."""
        model = self.model
        with torch.autocast(features.sam.device.type, torch.bfloat16, enabled=self.bf16):
            pixels = model.pixel_decoder(features)
            outputs = model.transformer_decoder.forward_all_layers(pixels, features.sam)
        scale = model.transformer_decoder.logit_scale
        return [
            LayerPrediction(
                category_logits(output.class_embeddings, self.names, model.void_embedding, scale),
                output.mask_logits,
            )
            for output in outputs
        ]


def join_features(features: Sequence[Features]) -> Features:
    """Put the features of single images into a float32 batch."""
    each = [some.to(torch.float32) for some in features]
    one, two, three, four = (
        torch.cat(level) for level in zip(*(some.pyramid for some in each), strict=True)
    )
    return Features(
        (one, two, three, four),
        torch.cat([some.dense for some in each]),
        torch.cat([some.sam for some in each]),
    )
