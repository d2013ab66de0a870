"""One image's way from disk to labels: read, predict, write.

`annotate_batch` is the whole of it. The engines take the same three steps, overlapped.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from frozenseg_label.errors import ImageError
from frozenseg_label.images import ImageRecord, decode_image
from frozenseg_label.inference.predictor import Prediction, Predictor
from frozenseg_label.inference.preprocess import PreparedImage, prepare_image
from frozenseg_label.model.settings import InputSize
from frozenseg_label.runs.embeddings import ImageEmbeddings
from frozenseg_label.runs.run_folder import RunFolder


@dataclass(frozen=True)
class LoadedImage:
    """An image that is ready for the model."""

    record: ImageRecord
    prepared: PreparedImage


@dataclass(frozen=True)
class LabelledImage:
    """What the model says of an image, by which CLIP, and its share of the batch's time."""

    record: ImageRecord
    prediction: Prediction
    clip: str
    seconds: float


def annotate_batch(
    records: Sequence[ImageRecord], predictor: Predictor, run: RunFolder, max_pixels: int | None
) -> None:
    """Label a few images of one padded shape and commit them to the run folder."""
    images = [load_image(record, predictor.model.input_size, max_pixels) for record in records]
    for image in predict(images, predictor):
        write_labels(image, run)


def load_image(record: ImageRecord, size: InputSize, max_pixels: int | None) -> LoadedImage:
    """Decode, resize and pad one image; ImageError where that cannot be done.

    Args:
        max_pixels: larger images (height x width) are refused; None takes any.
    """
    pixels = decode_image(record, max_pixels)  # uint8 [H, W, 3]
    return LoadedImage(record, prepare_image(pixels, size.shortest, size.longest, size.divisor))


def predict(images: Sequence[LoadedImage], predictor: Predictor) -> list[LabelledImage]:
    """Run the model on images of one padded shape."""
    start = time.perf_counter()
    predictions = predictor.predict([image.prepared for image in images])
    seconds = (time.perf_counter() - start) / len(images)
    return [
        LabelledImage(image.record, prediction, predictor.clip, seconds)
        for image, prediction in zip(images, predictions, strict=True)
    ]


def write_labels(image: LabelledImage, run: RunFolder) -> ImageError | None:
    """Commit one image's labels; return the error where this image alone cannot be written."""
    said = image.prediction
    embeddings = ImageEmbeddings.of(image.clip, said.embedding, said.segment_embeddings)
    try:
        run.commit(
            image.record,
            said.panoptic,
            semantic=said.semantic,
            seconds=image.seconds,
            embeddings=embeddings,
        )
    except ImageError as error:
        return write_failure(image.record, error, run)
    return None


def write_failure(record: ImageRecord, error: ImageError, run: RunFolder) -> ImageError:
    """Write down that one image could not be labelled."""
    run.fail(record, str(error))
    return error
