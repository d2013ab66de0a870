"""One machine: threads decode and write while the model works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

from frozenseg_label.annotation.label_images import (
    LoadedImage,
    load_image,
    predict,
    write_failure,
    write_labels,
)
from frozenseg_label.errors import ImageError
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.runs.run_folder import RunFolder

DECODERS = 2  # threads; Pillow lets the interpreter go while it decodes
MOST_BATCHES_WAITING = 2  # to be written; their maps are as large as the photographs
MOST_SHAPES_WAITING = 4


def annotate_overlapped(
    records: Iterable[ImageRecord],
    predictor: Predictor,
    run: RunFolder,
    *,
    batch_size: int,
    max_pixels: int | None,
    on_finished: Callable[[ImageError | None], None],
) -> None:
    """Label all records; returns when every one is on disk, as labels or as a failure.

    Args:
        batch_size: images of one padded shape that go through the model together.
        max_pixels: larger images fail; None takes any.
        on_finished: called in this thread once an image's row is in the journal, with the error if
            it failed; it may raise to stop the run.
    """
    load = partial(load_image, size=predictor.model.input_size, max_pixels=max_pixels)
    writes: deque[Future[ImageError | None]] = deque()

    def finish_writes(most_left: int) -> None:
        while writes and (len(writes) > most_left or writes[0].done()):
            on_finished(writes.popleft().result())

    with ThreadPoolExecutor(DECODERS) as readers, ThreadPoolExecutor(1) as writer:

        def on_unreadable(record: ImageRecord, error: ImageError) -> None:
            writes.append(writer.submit(write_failure, record, error, run))
            finish_writes(MOST_BATCHES_WAITING * batch_size)

        images = _read_ahead(records, load, readers, batch_size + DECODERS, on_unreadable)
        for batch in _batches_of_one_shape(images, batch_size):
            writes.extend(
                writer.submit(write_labels, image, run) for image in predict(batch, predictor)
            )
            finish_writes(MOST_BATCHES_WAITING * batch_size)
        finish_writes(0)


def _read_ahead(
    records: Iterable[ImageRecord],
    load: Callable[[ImageRecord], LoadedImage],
    readers: ThreadPoolExecutor,
    ahead: int,
    on_unreadable: Callable[[ImageRecord, ImageError], None],
) -> Iterator[LoadedImage]:
    """Yield images in order while the next few are being decoded."""
    remaining = iter(records)
    waiting: deque[tuple[ImageRecord, Future[LoadedImage]]] = deque()
    while True:
        for record in islice(remaining, ahead - len(waiting)):
            waiting.append((record, readers.submit(load, record)))
        if not waiting:
            return
        record, reading = waiting.popleft()
        try:
            image = reading.result()
        except ImageError as error:
            on_unreadable(record, error)
        else:
            yield image


def _batches_of_one_shape(
    images: Iterable[LoadedImage], batch_size: int
) -> Iterator[list[LoadedImage]]:
    """Group images by padded shape; few shapes wait at a time, so memory stays bounded."""
    waiting: dict[tuple[int, int], list[LoadedImage]] = {}
    for image in images:
        shape = image.prepared.padded_size
        waiting.setdefault(shape, []).append(image)
        if len(waiting[shape]) == batch_size:
            yield waiting.pop(shape)
        elif len(waiting) > MOST_SHAPES_WAITING:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()
