"""The quality of a model on images that it is not trained on: held-out ones, and the probe set."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from frozenseg_label.checkpoints.header import CheckpointInfo
from frozenseg_label.errors import FormatError, ImageError
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment
from frozenseg_label.training.data.caches import TensorCache
from frozenseg_label.training.data.collect import TrainingData
from frozenseg_label.training.data.labelled_images import (
    LabelledImage,
    check_images,
    read_labelled_images,
)
from frozenseg_label.training.data.sample_sources import LabelledPictures, build_feature_source
from frozenseg_label.training.data.targets import Truth
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary import Vocabulary, same_name

NO_PROBE = Path("none")
EMBEDDED_PROBE = Path(__file__).parents[2] / "weights" / "nano-probe"

FeaturesOf = Callable[[int], Features]
"""Returns the features of one image (a batch of one) by its number in the set."""

BESIDE_THE_PROBE = "put those of the probe set into a folder `images` beside its JSON"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredSet:
    """Labelled images to measure quality on, and the words of their labels.

    Attributes:
        images: with their labels.
        vocabulary: has a category for each name of the labels.
        features: gives the features of the encoders; None: the encoders run.
    """

    images: Sequence[LabelledImage]
    vocabulary: Vocabulary
    features: FeaturesOf | None = None

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of words, images and labels."""
        images = [image.fingerprint() for image in self.images]
        return hashlib.sha256(f"{self.vocabulary.fingerprint} {images}".encode()).hexdigest()


def build_held_out_set(
    model: FrozenSeg,
    info: CheckpointInfo,
    data: TrainingData,
    settings: TrainSettings,
    cache: TensorCache,
) -> MeasuredSet | None:
    """Return the held-out images, to choose the best weights on; None if nothing is labelled there.

    Args:
        info: of the model's checkpoint.
        cache: of features, used only if the settings want one.
    """
    images, words = data.held_out, data.vocabulary
    if not any(image.has_targets for image in images):
        return None
    if settings.cache != "features":
        return MeasuredSet(images, words)
    pictures = LabelledPictures(images, [Truth({}) for _ in images])
    source = build_feature_source(pictures, model, info, settings, cache)
    return MeasuredSet(images, words, lambda number: source.features(number, mirrored=False))


def read_probe(probe: Path | None, info: CheckpointInfo, data: TrainingData) -> MeasuredSet | None:
    """Return the set that shows what is forgotten; warn of images in it that are trained on.

    Args:
        probe: a COCO panoptic set; None: the embedded one for nano, none for other weights;
            NO_PROBE: none.
        info: of the checkpoint that the training starts from.
    """
    if probe == NO_PROBE:
        log.info("no probe set: what the model forgets is not measured")
        return None
    if probe is None and info.builder == "nano" and EMBEDDED_PROBE.is_dir():
        probe = EMBEDDED_PROBE
    if probe is None:
        log.warning(
            "no probe set: what the model forgets is not measured; give --probe a COCO panoptic set"
        )
        return None
    found, vocabulary, faults = read_labelled_images(probe, None, remedy=BESIDE_THE_PROBE)
    images = check_images(found, vocabulary, faults, BESIDE_THE_PROBE)
    trained = {image.digest for image in data.train}
    if both := sum(image.digest in trained for image in images):
        log.warning(
            "%s: %d of its %d images are trained on as well, so it shows too little of what "
            "is forgotten; take them out",
            probe,
            both,
            len(images),
        )
    return MeasuredSet(images, vocabulary)


def score(
    model: FrozenSeg, names: TextClassifier, measured: MeasuredSet, *, bf16: bool
) -> PanopticTally:
    """Label the images and compare with the truth, by the category ids of the set's vocabulary.

    Segments that no person owns are void in the truth: evaluation ignores them. Images that cannot
    be read are logged and left out.

    Args:
        names: the text classifier of the set's vocabulary, with the names seen by these weights.
        bf16: run encoders and decoder under autocast.
    """
    was_training = model.training
    predictor = Predictor(
        model=model.eval(),
        names=names,
        vocabulary=measured.vocabulary,
        source="model:training",
        device=model.void_embedding.device,
        bf16=bf16,
    )
    tally = PanopticTally()
    for number, image in enumerate(measured.images):
        try:
            truth, picture = true_map(image, measured.vocabulary), image.read_picture()
        except (ImageError, FormatError) as error:
            log.warning("left out of the measurement: %s", error)
            continue
        size = model.input_size
        prepared = prepare_image(picture, size.shortest, size.longest, size.divisor)
        try:
            if measured.features is None:
                (prediction,) = predictor.predict([prepared])
            else:
                features = measured.features(number).to(torch.float32).to(predictor.device)
                (prediction,) = predictor.predict_from_features(features, [prepared.framing])
        except FloatingPointError as error:
            log.warning("left out of the measurement: %s: %s", image.path, error)
            continue
        tally.add(prediction.panoptic, truth)
    model.train(was_training)
    return tally


def true_map(image: LabelledImage, vocabulary: Vocabulary) -> PanopticMap:
    """Return the segments that a person owns, with the category ids of a vocabulary.

    All regions of one stuff class are one segment, as in the maps of the model.
    """
    by_name = {same_name(category.name): category for category in vocabulary.categories}
    true = {
        segment.id: by_name[same_name(segment.name)]
        for segment in image.segments
        if segment.is_truth
    }
    ids = image.read_ids()
    ids[~np.isin(ids, list(true))] = UNLABELLED
    segments = [
        Segment(id_, category.id, category.is_thing, state="accepted")
        for id_, category in sorted(true.items())
    ]
    return one_segment_per_stuff(PanopticMap.of(ids, segments))
