"""Images that go through the model together: as many as asked for, fewer where memory runs out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from frozenseg_label.errors import ImageError, TooLargeError
from frozenseg_label.images import ImageRecord

if TYPE_CHECKING:
    from frozenseg_label.annotation.label_images import LabelledImage, LoadedImage

MOST_SIZES_WAITING = 4

log = logging.getLogger(__name__)


@dataclass
class Room:
    """How much fits into the memory of the model's device.

    Attributes:
        images: that may go through the model together; halved when memory runs out.
    """

    images: int


def batches_of_one_size(
    images: "Iterable[LoadedImage]", batch_size: int
) -> "Iterator[list[LoadedImage]]":
    """Yield images of one padded size together; few sizes wait at a time, so memory is bounded."""
    waiting: dict[tuple[int, int], list[LoadedImage]] = {}
    for image in images:
        if image.prepared.picture is not None:  # it comes in tiles, which are many
            yield [image]
            continue
        size = image.prepared.framing.padded
        waiting.setdefault(size, []).append(image)
        if len(waiting[size]) == batch_size:
            yield waiting.pop(size)
        elif len(waiting) > MOST_SIZES_WAITING:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def predict_or_fail(
    batch: "Sequence[LoadedImage]",
    predict: "Callable[[Sequence[LoadedImage]], list[LabelledImage]]",
    room: Room,
    on_failed: Callable[[ImageRecord, str], None],
) -> "list[LabelledImage]":
    """Return the labels of those images of a batch that can be labelled.

    Where memory runs out, the batch is tried in halves, and so are later ones; where the model
    fails otherwise, its images are tried one by one.

    Args:
        batch: images of one padded size.
        predict: labels images; ImageError where that cannot be done.
        room: for how many there is memory; is made smaller here.
        on_failed: called with each image that fails by itself, and why.
    """
    if len(batch) <= room.images:
        try:
            return predict(batch)
        except ImageError as error:
            # The error itself keeps the tensors alive that fill the memory.
            message, is_too_large = f"{error}", isinstance(error, TooLargeError)
        torch.cuda.empty_cache()  # does nothing where there is no CUDA
        if len(batch) == 1:
            on_failed(batch[0].record, message)
            return []
        if is_too_large:
            room.images = len(batch) // 2
            log.warning(
                "memory does not suffice for %d images at once; at most %d go through the model "
                "together from now on (--batch-size %d)",
                len(batch),
                room.images,
                room.images,
            )
    step = room.images if len(batch) > room.images else 1
    parts = [batch[start : start + step] for start in range(0, len(batch), step)]
    labelled = (predict_or_fail(part, predict, room, on_failed) for part in parts)
    return [image for part in labelled for image in part]
