"""Learners: the part of a model that is trained, from a batch of samples to its loss terms.

The decoder learner trains the whole decoder. The head learner trains the class and void embedding
only, on outputs of the decoder that are made once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frozenseg_label.checkpoints.header import CheckpointInfo
from frozenseg_label.checkpoints.named_weights import cache_folder
from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import category_logits
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.data.caches import TensorCache
from frozenseg_label.training.data.collect import TrainingData
from frozenseg_label.training.data.sample_sources import (
    SampleSource,
    build_feature_source,
    build_pixel_source,
)
from frozenseg_label.training.data.samples import FeatureSample, PixelSample, Sample, see
from frozenseg_label.training.data.targets import Doubt, Targets
from frozenseg_label.training.loop.decoder_outputs import OutputSample, build_output_source
from frozenseg_label.training.loss.criterion import Criterion, Divisors, LayerPrediction
from frozenseg_label.training.loss.matcher import match_targets
from frozenseg_label.training.loss.point_sampling import Draw
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class FeatureBatch:
    """The features of B images, and the targets of each, on the model's device."""

    features: Features
    targets: tuple[Targets, ...]


class DecoderLearner(nn.Module):
    """Trains pixel decoder, transformer decoder and void embedding; the encoders do not change.

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
        """Put samples of one shape into a batch; the encoders run here on pictures."""
        device = self.model.void_embedding.device
        targets = tuple(sample.targets.to(device) for sample in samples)
        seen = [sample.features for sample in samples if isinstance(sample, FeatureSample)]
        if seen:
            return FeatureBatch(join_features(seen).to(device), targets)
        pictures = [sample for sample in samples if isinstance(sample, PixelSample)]
        return FeatureBatch(see(self.model, pictures, self.bf16), targets)

    def forward(self, batch: FeatureBatch, divisors: Divisors, draws: Sequence[Draw]) -> Tensor:
        """Return the unweighted loss terms [layers, 3], as of `predict_all_layers`."""
        terms = [
            torch.stack(self.criterion.layer_terms(prediction, batch.targets, divisors, draws))
            for prediction in self.predict_all_layers(batch.features)
        ]
        return torch.stack(terms)

    def predict_all_layers(self, features: Features) -> list[LayerPrediction]:
        """Return the predictions before the first layer of the decoder and after each layer."""
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


@dataclass(frozen=True)
class OutputBatch:
    """The outputs of B images, on the model's device: queries [B, Q, C], the others by image."""

    queries: Tensor
    costs: tuple[Tensor, ...]
    doubts: tuple[Doubt | None, ...]
    targets: tuple[Targets, ...]


class HeadLearner(nn.Module):
    """Trains only the class embedding and the void embedding of a model.

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
        """Put the outputs of images into a batch."""
        device = self.void_embedding.device
        outputs = [sample for sample in samples if isinstance(sample, OutputSample)]
        return OutputBatch(
            torch.stack([output.queries for output in outputs]).to(device),
            tuple(output.costs.to(device) for output in outputs),
            tuple(output.doubt.to(device) if output.doubt else None for output in outputs),
            tuple(output.targets.to(device) for output in outputs),
        )

    def forward(self, batch: OutputBatch, divisors: Divisors, draws: Sequence[Draw]) -> Tensor:
        """Return the unweighted loss terms of the last layer [1, 3]; those of masks are 0."""
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


Learner = DecoderLearner | HeadLearner


def build_learner(
    model: FrozenSeg, info: CheckpointInfo, data: TrainingData, settings: TrainSettings
) -> Learner:
    """Return the learner that the settings want for a model.

    Args:
        info: of the model's checkpoint.
    """
    criterion = Criterion(settings.num_points, settings.void_weight)
    names = build_names(model, info, data.words(settings), info.seen_names)
    if settings.part == "head":
        return HeadLearner(model, names, criterion)
    bf16 = settings.uses_bf16(model.void_embedding.device.type)
    return DecoderLearner(model, names, criterion, bf16=bf16)


def build_source(
    model: FrozenSeg,
    info: CheckpointInfo,
    data: TrainingData,
    settings: TrainSettings,
    cache: TensorCache,
) -> SampleSource:
    """Return the images to train on as samples that the learner of the same settings takes.

    Args:
        info: of the model's checkpoint.
        cache: of features or outputs, used only if the settings want one.
    """
    pictures = data.pictures(data.train, settings)
    if settings.part == "head":
        return build_output_source(pictures, model, info, settings, cache)
    if settings.cache == "features":
        return build_feature_source(pictures, model, info, settings, cache)
    return build_pixel_source(pictures, model, settings)


def build_names(
    model: FrozenSeg, info: CheckpointInfo, vocabulary: Vocabulary, seen: frozenset[str]
) -> TextClassifier:
    """Return the text classifier of a vocabulary, with embeddings from the cache of all commands.

    Args:
        info: of the model's checkpoint.
        seen: all names that the weights were trained on.
    """
    with torch.no_grad():
        return build_text_classifier(
            model.clip,
            vocabulary,
            seen,
            clip_fingerprint=info.clip_hash,
            cache_folder=cache_folder() / "text",
        )
