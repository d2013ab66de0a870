"""A picture with its labels drawn over it, and the parts of that drawing: sizes, places, spots."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary

JPEG_QUALITY = 85
_SPOT_SIDE = 256  # pixels; the middle of segments is looked for in maps of this size at most
_TINT = 0.3  # share of the class colour
_UNLABELLED = 0.4  # brightness of pixels without a label, against the picture's
_TEXT_SHARE, _LEAST_TEXT = 1 / 32, 11  # of the picture's longer side; pixels

Size = tuple[int, int]  # height, width
Spot = tuple[int, int, int]  # x, y, and the radius of the circle around them


def overlay_file(
    pixels: NDArray[np.uint8], labels: PanopticMap, vocabulary: Vocabulary, max_side: int = 1600
) -> bytes:
    """Return the JPEG of a picture [H, W, 3] with outlines and names of its segments.

    Args:
        max_side: larger pictures are scaled down to it; it is for people to look at.
    """
    size = fitted_size(labels.ids.shape, max_side)
    drawn = draw_overlay(scaled(pixels, size), segment_places(labels, size), labels, vocabulary)
    return encode_picture(drawn, size)


def overlay_path(file: str) -> str:
    """Return the overlay of an image whose labels are in the PNG `file`."""
    return f"{file.removesuffix('.png')}.jpg"


def draw_overlay(
    pixels: NDArray[np.uint8],
    places: NDArray[np.unsignedinteger],
    labels: PanopticMap,
    vocabulary: Vocabulary,
    names: Mapping[int, str] | None = None,
) -> NDArray[np.uint8]:
    """Return a picture [h, w, 3] whose segments are tinted, outlined and named.

    Args:
        places: which segment each pixel [h, w] belongs to, see `segment_places`.
        names: what to write instead of the names of the vocabulary, by category id.
    """
    categories = [vocabulary.by_id(segment.category_id) for segment in labels.segments]
    colors = np.array([(0, 0, 0), *(category.color for category in categories)], np.float32)
    painted = pixels * np.float32(_UNLABELLED)
    is_labelled = places > 0
    painted[is_labelled] = (1 - _TINT) * pixels[is_labelled] + _TINT * colors[places[is_labelled]]
    width = max(1, round(max(places.shape) / 600))
    painted[_edges(places, width)] = 255
    image = Image.fromarray(painted.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    text = max(_LEAST_TEXT, round(max(places.shape) * _TEXT_SHARE))
    font = ImageFont.truetype(_font_file(), text)
    for category, spot in zip(categories, inner_spots(places, len(categories)), strict=True):
        if spot is not None:
            name = (names or {}).get(category.id, category.name)
            _write_name(draw, name, spot, font, image.size)
    return np.asarray(image)


def _write_name(
    draw: ImageDraw.ImageDraw,
    name: str,
    spot: Spot,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    """Write a name into the middle of a segment, moved inwards where it would be cut off."""
    text = font.size
    x, y = (
        min(max(float(place), half), length - half) if 2 * half < length else length / 2
        for place, half, length in zip(
            spot[:2], (draw.textlength(name, font) / 2 + 3, text / 2 + 2), size, strict=True
        )
    )
    stroke = max(1, round(text / 8))
    draw.text((x, y), name, "white", font, "mm", stroke_width=stroke, stroke_fill="black")


def _font_file() -> str:
    """Return a font that has more alphabets than Pillow's own: the one that matplotlib brings."""
    from matplotlib import get_data_path

    return str(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"))


def _edges(places: NDArray[np.unsignedinteger], width: int) -> NDArray[np.bool_]:
    """Return which pixels [h, w] are at the edge of a segment, `width` pixels of it."""
    edge = np.zeros(places.shape, np.bool_)
    for step in range(1, width + 1):
        edge[:, step:] |= places[:, step:] != places[:, :-step]
        edge[step:] |= places[step:] != places[:-step]
    return edge


def fitted_size(size: Size, max_side: int) -> Size:
    """Return the largest size of these proportions within `size` and `max_side` a side."""
    if max_side < 1:
        raise ValueError(f"max_side must be at least 1, got {max_side}")
    height, width = size
    scale = min(1.0, max_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def encode_picture(pixels: NDArray[np.uint8], size: Size) -> bytes:
    """Return the JPEG file of a picture [H, W, 3], scaled to `size`."""
    file = io.BytesIO()
    Image.fromarray(scaled(pixels, size)).save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return file.getvalue()


def scaled(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] scaled to `size`."""
    if pixels.shape[:2] == size:
        return pixels
    height, width = size
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def segment_places(labels: PanopticMap, size: Size) -> NDArray[np.unsignedinteger]:
    """Return the segment of each pixel [h, w] of the scaled map, in the smallest dtype.

    0 = unlabelled; n = the n-th of `labels.segments`. Each pixel takes the segment at its centre:
    a segment that is thinner than a pixel of the scaled map may be missing.
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
    """Return for each segment the largest circle that fits in it, in pixels: for its name.

    Segments without a pixel in the places [h, w] have none.
    """
    from scipy.ndimage import distance_transform_edt, find_objects  # slow to import

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
