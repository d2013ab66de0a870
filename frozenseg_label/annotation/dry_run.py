"""The time and the space that a run would take, measured on a few images; writes nothing."""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from frozenseg_label.annotation.annotate_summary import Estimate
from frozenseg_label.annotation.label_images import (
    LoadedImage,
    load,
    predict,
    warn_of_thumbnails,
)
from frozenseg_label.annotation.write_behind import most_waiting
from frozenseg_label.errors import ImageError
from frozenseg_label.files import free_bytes
from frozenseg_label.formats.coco_panoptic import encode_panoptic_png
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.kept_proposals import encode_proposals
from frozenseg_label.inference.predictor import Predictor

TIMED_IMAGES = 3
DECODED_BYTES = 7  # of a pixel: Pillow's four, and our three
MAP_BYTES = 4  # likewise, of a label map
SEGMENT_BYTES = 600  # of one segment in journal.jsonl and panoptic.json together


def estimate(
    todo: Sequence[ImageRecord],
    predictor: Predictor,
    folder: Path,
    max_pixels: int | None,
    batch_size: int = 1,
) -> Estimate:
    """Label a few images without writing them, after one that warms up."""
    disk, kept, seconds = list[int](), list[int](), list[float]()
    thumbnails = beside = 0
    tried = _spread(todo, TIMED_IMAGES + 1)
    for record in tried:
        start = time.perf_counter()
        try:
            image = load(record, predictor.model.input_size, max_pixels, predictor.tiling)
            # The first one, which is not timed, tells what a batch needs.
            copies = 1 if seconds or image.prepared.picture is not None else batch_size
            prediction = predict([image] * copies, predictor)[0].prediction
        except ImageError:
            continue
        thumbnails += image.is_thumbnail
        beside = max(beside, _bytes_beside(image, len(todo), batch_size))
        panoptic, proposals = prediction.panoptic, prediction.proposals
        png = encode_panoptic_png(panoptic.ids)
        if proposals is not None:
            kept.append(len(encode_proposals(proposals, predictor.source)))
        seconds.append(time.perf_counter() - start)
        disk.append(len(png) + SEGMENT_BYTES * len(panoptic.segments))
    if not seconds:
        raise ImageError(
            f"none of {len(tried)} images from all over the list can be labelled, {tried[0].path} "
            "among them; look at them first"
        )
    warn_of_thumbnails(thumbnails, of=len(seconds))
    timed = seconds[1:] or seconds
    return Estimate(
        images=len(todo),
        seconds=len(todo) * sum(timed) / len(timed),
        disk_bytes=len(todo) * sum(disk) // len(disk),
        kept_bytes=len(todo) * sum(kept) // max(1, len(kept)),
        free_bytes=free_bytes(folder),
        memory_bytes=None if (peak := _peak_memory()) is None else peak + beside,
    )


def _bytes_beside(image: LoadedImage, images: int, batch_size: int) -> int:
    """Return what a run has in memory beside an image that is labelled, if all are like it.

    That is another one that is decoded, and label maps that wait to be written.

    Args:
        images: of the run.
    """
    maps = 0 if image.is_large else min(most_waiting(batch_size), images - 1)
    each = DECODED_BYTES * (images > 1) + MAP_BYTES * maps
    return math.prod(image.prepared.framing.original) * each


def _spread(records: Sequence[ImageRecord], count: int) -> Sequence[ImageRecord]:
    """Return a few records from all over the list."""
    step = max(1, len(records) // count)
    return records[::step][:count]


def _peak_memory() -> int | None:
    """Return the most memory that this program has used, in bytes; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
