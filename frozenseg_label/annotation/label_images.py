"""One image's way from disk to labels: load, predict, stage.

Every engine calls these three functions. `label_images` is the engine of one machine: it overlaps
them, threads decode and write while the model works.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Literal

from frozenseg_label.annotation.batches import Room, batches_of_one_size, predict_or_fail
from frozenseg_label.annotation.read_ahead import read_ahead
from frozenseg_label.annotation.write_behind import Desk, WriteBehind, most_waiting
from frozenseg_label.decoding import decode_file, decode_image, read_image_file
from frozenseg_label.errors import ImageError, enough_memory
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.kept_proposals import encode_proposals
from frozenseg_label.inference.predictor import Prediction, Predictor
from frozenseg_label.inference.preprocess import PreparedImage
from frozenseg_label.inference.tiling import MOST_SHRUNK, Tiling, least_size, prepare
from frozenseg_label.model.settings import InputSize
from frozenseg_label.runs.embeddings import ImageEmbeddings
from frozenseg_label.runs.staging import StagedLabels, WriteOrder

DECODERS = 2  # threads; Pillow lets the interpreter go while it decodes
LARGE = 2**25  # pixels; such pictures are decoded and written one after the other, for memory

_one_large = Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedImage:
    """An image that is ready for the model.

    Attributes:
        record: the image.
        prepared: its pixels.
        sha256: of the file.
        is_scaled: whether its grey levels of more than 8 bits were scaled by their own range.
    """

    record: ImageRecord
    prepared: PreparedImage
    sha256: str
    is_scaled: bool

    @property
    def pixels(self) -> str:
        """Return the size of the picture, in words."""
        height, width = self.prepared.framing.original
        return f"{width} x {height} pixels"

    @property
    def is_large(self) -> bool:
        """Return whether little of it may be in memory at a time."""
        return math.prod(self.prepared.framing.original) > LARGE

    @property
    def is_thumbnail(self) -> bool:
        """Return whether the model sees the image only, and by far, smaller than it is."""
        return self.prepared.picture is None and self.prepared.framing.shrunk > MOST_SHRUNK


@dataclass(frozen=True)
class LabelledImage:
    """An image with its labels, and by what they were made.

    Attributes:
        record: the image.
        sha256: of the file.
        prediction: the labels.
        clip: hash of the CLIP.
        source: of the weights, `model:<hash>`.
        seconds: the image's share of the batch's.
    """

    record: ImageRecord
    sha256: str
    prediction: Prediction
    clip: str
    source: str
    seconds: float


def load(
    record: ImageRecord, size: InputSize, max_pixels: int | None, tiling: Tiling | None = None
) -> LoadedImage:
    """Decode, resize and pad one image; ImageError where that cannot be done.

    Args:
        record: the image.
        size: of the model's input.
        max_pixels: larger images (height x width) are refused; None takes any.
        tiling: how large images are cut, as of `Predictor`.
    """
    file = read_image_file(record, max_pixels)
    with _one_large if file.pixels > LARGE else nullcontext():
        decoded = decode_file(record, file, partial(least_size, size=size))
        original, is_scaled = decoded.size, decoded.is_scaled
        with enough_memory(record.path, f"{original[1]} x {original[0]} pixels"):
            whole = partial(decode_image, record, max_pixels)  # later: many may wait
            prepared = prepare(decoded.pixels, size, tiling, original=original, picture=whole)
        del decoded
    sha256 = hashlib.sha256(file.content).hexdigest()
    return LoadedImage(record, prepared, sha256, is_scaled)


def predict(images: Sequence[LoadedImage], predictor: Predictor) -> list[LabelledImage]:
    """Run the model on images of one padded size; ImageError where one of them asks too much.

    The error names the first of them, which is at fault only where there is no other.
    """
    start, first = time.perf_counter(), images[0]
    try:
        with enough_memory(first.record.path, first.pixels, f"{predictor.device}"):
            predictions = predictor.predict([image.prepared for image in images])
    except FloatingPointError as error:
        raise ImageError(f"{first.record.path}: {error}") from None
    seconds = (time.perf_counter() - start) / len(images)
    clip, source = predictor.clip, predictor.source
    return [
        LabelledImage(image.record, image.sha256, prediction, clip, source, seconds)
        for image, prediction in zip(images, predictions, strict=True)
    ]


def stage(
    order: WriteOrder,
    image: LabelledImage,
    run: Desk,
    event: Literal["annotated", "relabelled"] = "annotated",
) -> StagedLabels:
    """Write one image's files, which a row then commits; ImageError where it cannot be written."""
    said = image.prediction
    embeddings = ImageEmbeddings.of(image.clip, said.embedding, said.segment_embeddings)
    height, width = said.panoptic.ids.shape
    kept = None
    if said.proposals is not None:
        kept = encode_proposals(said.proposals, image.source)
    with enough_memory(image.record.path, f"the labels of {width} x {height} pixels"):
        return run.stage(
            order,
            said.panoptic,
            sha256=image.sha256,
            semantic=said.semantic,
            seconds=image.seconds,
            embeddings=embeddings,
            kept=kept,
            event=event,
        )


def label_images(
    records: Iterable[ImageRecord],
    predictor: Predictor,
    run: Desk,
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
        batch_size: images of one padded size that go through the model together; fewer once memory
            has run out.
        max_pixels: larger images fail; None takes any.
        on_finished: called in this thread once an image's row is in the journal, with the error if
            it failed; it may raise to stop the run.
    """
    size, tiling = predictor.model.input_size, predictor.tiling
    load_one = partial(load, size=size, max_pixels=max_pixels, tiling=tiling)
    predict_some, room = partial(predict, predictor=predictor), Room(batch_size)
    most, scaled, thumbnails = most_waiting(batch_size), 0, 0

    def on_failed(record: ImageRecord, message: str) -> None:
        writes.fail(record, message)
        writes.finish(most)

    with (
        ThreadPoolExecutor(DECODERS) as readers,
        WriteBehind(run, lambda _, error: on_finished(error)) as writes,
    ):
        images = read_ahead(records, load_one, readers, batch_size + DECODERS, on_failed)
        for batch in batches_of_one_size(images, batch_size):
            scaled += sum(image.is_scaled for image in batch)
            thumbnails += sum(image.is_thumbnail for image in batch)
            for image in predict_or_fail(batch, predict_some, room, on_failed):
                writes.write(image.record, partial(stage, image=image, run=run))
            writes.finish(0 if any(image.is_large for image in batch) else most)
        writes.finish(0)
    if scaled:
        log.warning(
            "%d pictures have grey levels of more than 8 bits; each was scaled by its own range, "
            "so convert them to 8 bits where another range is meant",
            scaled,
        )
    warn_of_thumbnails(thumbnails)


def warn_of_thumbnails(count: int, of: int | None = None) -> None:
    """Say how many images are labelled so small that what is small in them is lost.

    Args:
        of: images that were tried; None: all of them.
    """
    if count:
        log.warning(
            "%d images%s are labelled as thumbnails, shrunk more than %.0f times: what is small in "
            "them is not found. --tile auto labels such images at full resolution, in tiles",
            count,
            "" if of is None else f" of the {of} that were tried",
            MOST_SHRUNK,
        )
