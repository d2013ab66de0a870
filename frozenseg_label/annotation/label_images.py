"""One image's way from disk to labels: load, predict, write.

Every engine calls these three functions. `label_images` is the engine of one machine: it overlaps
them, threads decode and write while the model works.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from frozenseg_label.errors import ImageError
from frozenseg_label.images import ImageRecord, decode_image, read_image_file
from frozenseg_label.inference.predictor import Prediction, Predictor
from frozenseg_label.inference.preprocess import PreparedImage, prepare_image
from frozenseg_label.model.settings import InputSize
from frozenseg_label.runs.embeddings import ImageEmbeddings
from frozenseg_label.runs.run_folder import RunFolder

DECODERS = 2  # threads; Pillow lets the interpreter go while it decodes
MOST_BATCHES_WAITING = 2  # to be written; their maps are as large as the photographs
MOST_SIZES_WAITING = 4


@dataclass(frozen=True)
class LoadedImage:
    """An image that is ready for the model."""

    record: ImageRecord
    prepared: PreparedImage
    sha256: str  # of the file


@dataclass(frozen=True)
class LabelledImage:
    """An image with its prediction, the hash of the CLIP, and its share of the batch's seconds."""

    record: ImageRecord
    sha256: str
    prediction: Prediction
    clip: str
    seconds: float


def load(record: ImageRecord, size: InputSize, max_pixels: int | None) -> LoadedImage:
    """Decode, resize and pad one image; ImageError where that cannot be done.

    Args:
        record: the image.
        size: of the model's input.
        max_pixels: larger images (height x width) are refused; None takes any.
    """
    content = read_image_file(record, max_pixels)
    pixels = decode_image(record, max_pixels, content)  # uint8 [H, W, 3]
    prepared = prepare_image(pixels, size.shortest, size.longest, size.divisor)
    return LoadedImage(record, prepared, hashlib.sha256(content).hexdigest())


def predict(images: Sequence[LoadedImage], predictor: Predictor) -> list[LabelledImage]:
    """Run the model on images of one padded size."""
    start = time.perf_counter()
    predictions = predictor.predict([image.prepared for image in images])
    seconds = (time.perf_counter() - start) / len(images)
    return [
        LabelledImage(image.record, image.sha256, prediction, predictor.clip, seconds)
        for image, prediction in zip(images, predictions, strict=True)
    ]


def write(image: LabelledImage, run: RunFolder) -> ImageError | None:
    """Commit one image's labels; return the error where only this image cannot be written."""
    said = image.prediction
    embeddings = ImageEmbeddings.of(image.clip, said.embedding, said.segment_embeddings)
    try:
        run.commit(
            image.record,
            said.panoptic,
            sha256=image.sha256,
            semantic=said.semantic,
            seconds=image.seconds,
            embeddings=embeddings,
        )
    except ImageError as error:
        return _write_failure(image.record, error, run)
    return None


def label_images(
    records: Iterable[ImageRecord],
    predictor: Predictor,
    run: RunFolder,
    *,
    batch_size: int,
    max_pixels: int | None,
    on_finished: Callable[[ImageError | None], None],
) -> None:
    """Label images; return when every one is on disk, as labels or as a failure.

    Args:
        records: the images.
        predictor: the model with its vocabulary.
        run: where the labels go.
        batch_size: images of one padded size that go through the model together.
        max_pixels: larger images fail; None takes any.
        on_finished: called in this thread once an image's row is in the journal, with the error if
            it failed; it may raise to stop the run.
    """
    load_one = partial(load, size=predictor.model.input_size, max_pixels=max_pixels)
    writes: deque[Future[ImageError | None]] = deque()

    def finish_writes(most_left: int) -> None:
        while writes and (len(writes) > most_left or writes[0].done()):
            on_finished(writes.popleft().result())

    with ThreadPoolExecutor(DECODERS) as readers, ThreadPoolExecutor(1) as writer:

        def on_unreadable(record: ImageRecord, error: ImageError) -> None:
            writes.append(writer.submit(_write_failure, record, error, run))
            finish_writes(MOST_BATCHES_WAITING * batch_size)

        images = _read_ahead(records, load_one, readers, batch_size + DECODERS, on_unreadable)
        for batch in _batches_of_one_size(images, batch_size):
            writes.extend(writer.submit(write, image, run) for image in predict(batch, predictor))
            finish_writes(MOST_BATCHES_WAITING * batch_size)
        finish_writes(0)


def _read_ahead(
    records: Iterable[ImageRecord],
    load_one: Callable[[ImageRecord], LoadedImage],
    readers: ThreadPoolExecutor,
    ahead: int,
    on_unreadable: Callable[[ImageRecord, ImageError], None],
) -> Iterator[LoadedImage]:
    """Yield images in order while the next few are being decoded."""
    remaining = iter(records)
    waiting: deque[tuple[ImageRecord, Future[LoadedImage]]] = deque()
    while True:
        for record in islice(remaining, ahead - len(waiting)):
            waiting.append((record, readers.submit(load_one, record)))
        if not waiting:
            return
        record, reading = waiting.popleft()
        try:
            image = reading.result()
        except ImageError as error:
            on_unreadable(record, error)
        else:
            yield image


def _batches_of_one_size(
    images: Iterable[LoadedImage], batch_size: int
) -> Iterator[list[LoadedImage]]:
    """Yield images of one padded size together; few sizes wait at a time, so memory is bounded."""
    waiting: dict[tuple[int, int], list[LoadedImage]] = {}
    for image in images:
        size = image.prepared.framing.padded
        waiting.setdefault(size, []).append(image)
        if len(waiting[size]) == batch_size:
            yield waiting.pop(size)
        elif len(waiting) > MOST_SIZES_WAITING:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _write_failure(record: ImageRecord, error: ImageError, run: RunFolder) -> ImageError:
    """Write down that one image could not be labelled."""
    run.fail(record, str(error))
    return error
