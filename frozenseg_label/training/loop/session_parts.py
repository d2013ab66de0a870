"""The parts of a training, as its settings ask for them: learner, source, measured sets."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from frozenseg_label.checkpoints.header import CheckpointInfo
from frozenseg_label.checkpoints.named_weights import cache_folder as cache_root
from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.errors import TrainingError
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.data.augmentation import Augmentation
from frozenseg_label.training.data.collect import TrainingData
from frozenseg_label.training.data.labelled_images import check_images, read_labelled_images
from frozenseg_label.training.data.sample_sources import (
    FeatureSource,
    LabelledPictures,
    PixelSource,
    Source,
)
from frozenseg_label.training.data.samples import Truth
from frozenseg_label.training.data.tensor_cache import TensorCache
from frozenseg_label.training.loop.decoder_learner import DecoderLearner
from frozenseg_label.training.loop.fine_tune import Learner
from frozenseg_label.training.loop.head_learner import HeadLearner, OutputSource
from frozenseg_label.training.loop.quality import MeasuredSet
from frozenseg_label.training.loss.criterion import Criterion
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary import Vocabulary

EMBEDDED_PROBE = Path(__file__).parents[2] / "weights" / "nano-probe"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Builder:
    """Makes what the settings ask for.

    Attributes:
        cache: of features or outputs, where the settings want one.
    """

    model: FrozenSeg
    info: CheckpointInfo
    data: TrainingData
    settings: TrainSettings
    cache: TensorCache

    @property
    def bf16(self) -> bool:
        """Whether encoders and decoder run in bfloat16."""
        return uses_bf16(self.settings, self.model.void_embedding.device)

    def learner(self) -> Learner:
        """What learns."""
        criterion = Criterion(self.settings.num_points, self.settings.void_weight)
        words = self.data.words(self.settings)
        names = build_names(self.model, self.info, words, self.info.seen_names)
        if self.settings.part == "head":
            return HeadLearner(self.model, names, criterion)
        return DecoderLearner(self.model, names, criterion, bf16=self.bf16)

    def source(self) -> Source:
        """Samples of the images that are trained on."""
        pictures = self.data.pictures(self.data.train, self.settings)
        if self.settings.part == "head":
            return OutputSource(
                pictures=pictures,
                model=self.model,
                cache=None if self.settings.cache == "none" else self.cache,
                weights=self.info.fingerprint,
                flip=self.settings.flip,
                bf16=self.bf16,
                num_points=self.settings.num_points,
            )
        if self.settings.cache == "features":
            return self._features(pictures)
        size = self.settings.crop_size or self.model.sam.image_size
        if size % self.model.input_size.divisor:
            raise TrainingError(
                f"crop_size must be a multiple of {self.model.input_size.divisor}, got {size}"
            )
        settings = self.settings
        return PixelSource(
            pictures, Augmentation(settings.flip, settings.scale, size, settings.color_jitter)
        )

    def held_out(self) -> MeasuredSet | None:
        """Images to choose the best weights on, with features from the cache where there is one."""
        images, words = self.data.held_out, self.data.vocabulary
        if not any(image.has_targets for image in images):
            return None
        if self.settings.cache != "features":
            return MeasuredSet(images, words)
        source = self._features(LabelledPictures(images, [Truth({}) for _ in images]))
        return MeasuredSet(images, words, lambda number: source.features(number, mirrored=False))

    def _features(self, pictures: LabelledPictures) -> FeatureSource:
        frozen = f"{self.info.clip_hash} {self.info.sam_hash}"
        return FeatureSource(
            pictures, self.model, self.cache, frozen, self.settings.flip, self.bf16
        )


def build_names(
    model: FrozenSeg, info: CheckpointInfo, vocabulary: Vocabulary, seen: frozenset[str]
) -> TextClassifier:
    """The text classifier of a vocabulary; its embeddings are kept in the cache of all commands."""
    with torch.no_grad():
        return build_text_classifier(
            model.clip,
            vocabulary,
            seen,
            clip_fingerprint=info.clip_hash,
            cache_folder=cache_root() / "text",
        )


def uses_bf16(settings: TrainSettings, device: torch.device) -> bool:
    """Whether encoders and decoder run in bfloat16."""
    automatic = settings.precision == "auto" and device.type == "cuda"
    return settings.precision == "bf16" or automatic


def read_probe(probe: Path | None, info: CheckpointInfo, data: TrainingData) -> MeasuredSet | None:
    """The set that tells what is forgotten; warns of images in it that are trained on."""
    if probe is None and info.builder == "nano" and EMBEDDED_PROBE.is_dir():
        probe = EMBEDDED_PROBE
    if probe is None:
        log.warning(
            "no probe set: what the model forgets is not measured; give --probe a COCO panoptic set"
        )
        return None
    found, vocabulary = read_labelled_images(probe, None)
    images = check_images(found, vocabulary)
    trained = {image.digest for image in data.train}
    if both := sum(image.digest in trained for image in images):
        log.warning(
            "%s: %d of its %d images are trained on, too, so it tells too little of what is "
            "forgotten; take them out",
            probe,
            both,
            len(images),
        )
    return MeasuredSet(images, vocabulary)
