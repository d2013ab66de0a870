"""How good a model is on images that it is not trained on, and what it may have forgotten."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from frozenseg_label.errors import FormatError, ImageError
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment, measure
from frozenseg_label.training.data.labelled_images import LabelledImage
from frozenseg_label.vocabulary import Vocabulary, same_name

FeaturesOf = Callable[[int], Features]
"""The features of an image by its number in the set, of a batch of one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredSet:
    """Images whose labels are true, and the words that they are labelled with.

    Attributes:
        images: with their labels.
        vocabulary: its categories have the names of the labels.
        features: where the encoders' features come from; None: from the encoders.
    """

    images: Sequence[LabelledImage]
    vocabulary: Vocabulary
    features: FeaturesOf | None = None

    def fingerprint(self) -> str:
        """SHA-256 (hex) of words, images and labels."""
        images = [image.fingerprint() for image in self.images]
        return hashlib.sha256(f"{self.vocabulary.fingerprint} {images}".encode()).hexdigest()


def score(
    model: FrozenSeg, names: TextClassifier, measured: MeasuredSet, *, bf16: bool
) -> PanopticTally:
    """Label the images and count, by the category ids of the set's vocabulary.

    What no person stands behind is void in the truth: it counts for and against nobody. Images
    that cannot be read are named and left out.

    Args:
        names: the text classifier of the set's vocabulary, `seen` as the weights at hand have it.
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
        if measured.features is None:
            (prediction,) = predictor.predict([prepared])
        else:
            features = measured.features(number).to(torch.float32).to(predictor.device)
            (prediction,) = predictor.predict_from_features(features, [prepared.framing])
        tally.add(prediction.panoptic, truth)
    model.train(was_training)
    return tally


def true_map(image: LabelledImage, vocabulary: Vocabulary) -> PanopticMap:
    """The segments that a person stands behind, with the category ids of a vocabulary.

    Regions of one kind of stuff are one segment, as in what the model says.
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
        Segment(id_, true[id_].id, true[id_].is_thing, area, bbox, state="accepted")
        for id_, (area, bbox) in measure(ids).items()
    ]
    return one_segment_per_stuff(PanopticMap(ids, tuple(segments)))
