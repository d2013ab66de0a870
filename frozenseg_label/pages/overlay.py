"""A picture and the labels that lie over it, both small enough to be sent to a colleague."""

import io
import zlib
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, find_objects

from frozenseg_label.panoptic import PanopticMap

JPEG_QUALITY = 85
_SPOT_SIDE = 256  # pixels; looking for the middle of segments takes no more than this

Size = tuple[int, int]  # height, width
Spot = tuple[int, int, int]  # x, y, and the radius of the circle around them


def fitted_size(size: Size, max_side: int) -> Size:
    """The largest size of these proportions, no larger than `size` or than `max_side` a side."""
    if max_side < 1:
        raise ValueError(f"max_side must be at least 1, got {max_side}")
    height, width = size
    scale = min(1.0, max_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def encode_picture(pixels: NDArray[np.uint8], size: Size) -> bytes:
    """The JPEG file of a picture [H, W, 3], scaled to `size`."""
    image = Image.fromarray(pixels)
    height, width = size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return file.getvalue()


def segment_places(labels: PanopticMap, size: Size) -> NDArray[np.unsignedinteger]:
    """Which segment each pixel [h, w] of the scaled map belongs to, in the smallest dtype.

    0 = unlabelled; n = the n-th of `labels.segments`. Each pixel takes the segment at its centre:
    one that is thinner than a pixel of the scaled map may be missing from it.
    """
    rows, columns = (
        ((np.arange(wanted) + 0.5) * (whole / wanted)).astype(np.intp)
        for wanted, whole in zip(size, labels.ids.shape, strict=True)
    )
    ids = labels.ids[rows[:, None], columns]  # [h, w]
    known = np.array([0, *(segment.id for segment in labels.segments)])  # [n + 1]
    order = np.argsort(known).astype(np.min_scalar_type(len(labels.segments)))
    places: NDArray[np.unsignedinteger] = order[np.searchsorted(known[order], ids)]
    return places


def inner_spots(places: NDArray[np.unsignedinteger], segments: int) -> list[Spot | None]:
    """For each segment the middle of the largest circle that fits in it, in pixels: for its name.

    Segments that no pixel of the places [h, w] belongs to have none.
    """
    step = -(-max(places.shape) // _SPOT_SIDE)  # a coarse answer is enough
    coarse = places[::step, ::step].astype(np.int32)
    spots: list[Spot | None] = []
    boxes = cast("list[tuple[slice, slice] | None]", find_objects(coarse, segments))
    for place, box in enumerate(boxes, start=1):
        if box is None:
            spots.append(None)
            continue
        inside = np.pad(coarse[box] == place, 1)  # the picture's edge ends a segment, too
        depth = distance_transform_edt(inside)
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        top, left = box[0].start - 1, box[1].start - 1
        radius = round(float(depth[y, x]) * step)
        spots.append((int(left + x) * step, int(top + y) * step, radius))
    return spots


def encode_places(places: NDArray[np.unsignedinteger]) -> bytes:
    """Segment places [h, w], compressed with zlib: little-endian rows, each XOR the one above it.

    Most pixels belong to the same segment as the one above, so that most of what is compressed is
    0. No PNG, because a page that was opened from a file must not read the pixels of its images
    (to the browser they are another site's), and because a palette ends at 256 segments.
    """
    changes = places.copy()
    changes[1:] ^= places[:-1]
    return zlib.compress(changes.astype(changes.dtype.newbyteorder("<")).tobytes(), 9)
