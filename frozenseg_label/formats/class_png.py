"""Class PNGs, made from a panoptic map: one with all classes, or a black and white one per class.

In a class PNG, 0 is unlabelled and 1..K are the classes in the order of the vocabulary; the palette
shows their colours. A palette holds 256 colours: with more than 255 classes the PNG is 16 bit grey.
"""

import io
import json
from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue

from frozenseg_label.formats.coco_panoptic import png_name
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary

PALETTE_CLASSES = 255


def class_png_files(
    relative: str, panoptic_map: PanopticMap, vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield the class PNG of an image: its path in the folder of class PNGs, and its bytes."""
    indices = class_indices(panoptic_map, vocabulary)
    yield png_name(relative), encode_class_png(indices, vocabulary)


def per_class_png_files(
    relative: str, panoptic_map: PanopticMap, vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield a PNG, 255 inside and 0 outside, for each class that occurs: paths and bytes."""
    indices = class_indices(panoptic_map, vocabulary)  # [H, W]
    for category_id in {segment.category_id: None for segment in panoptic_map.segments}:
        mask = indices == vocabulary.index_of(category_id) + 1  # [H, W]
        name = vocabulary.by_id(category_id).name
        yield per_class_png_path(relative, name), _png(Image.fromarray(mask.astype(np.uint8) * 255))


def per_class_png_path(relative: str, class_name: str) -> str:
    """Return where the PNG of one class of an image is, in the folder of such PNGs."""
    return f"{escaped(class_name)}/{png_name(relative)}"


def escaped(class_name: str) -> str:
    """A class name that any file system takes as a folder's; `urllib.parse.unquote` undoes it."""
    return quote(class_name, safe="").replace(".", "%2E")


def class_indices(panoptic_map: PanopticMap, vocabulary: Vocabulary) -> NDArray[np.uint16]:
    """The class of each pixel [H, W]: 0 = unlabelled, 1..K in the order of the vocabulary."""
    highest = max((segment.id for segment in panoptic_map.segments), default=0)
    index_of_id = np.zeros(highest + 1, dtype=np.uint16)
    for segment in panoptic_map.segments:
        index_of_id[segment.id] = vocabulary.index_of(segment.category_id) + 1
    return index_of_id[panoptic_map.ids]


def encode_class_png(indices: NDArray[np.integer], vocabulary: Vocabulary) -> bytes:
    """The PNG file of class indices [H, W], 0..K."""
    if indices.size and not 0 <= indices.min() <= indices.max() <= len(vocabulary.categories):
        raise ValueError(
            f"class indices must lie in 0..{len(vocabulary.categories)}, "
            f"got {indices.min()}..{indices.max()}"
        )
    if len(vocabulary.categories) > PALETTE_CLASSES:
        return _png(Image.fromarray(indices.astype(np.uint16)))
    image = Image.fromarray(indices.astype(np.uint8), mode="P")
    colors = [(0, 0, 0), *(category.color for category in vocabulary.categories)]
    image.putpalette([channel for color in colors for channel in color])
    return _png(image)


def classes_file(vocabulary: Vocabulary) -> bytes:
    """What each pixel value of class PNGs stands for, as JSON."""
    rows: list[dict[str, JsonValue]] = [{"index": 0, "name": "unlabelled", "color": [0, 0, 0]}]
    for index, category in enumerate(vocabulary.categories, start=1):
        color: list[JsonValue] = list(category.color)
        rows.append(
            {"index": index, "name": category.name, "color": color, "category_id": category.id}
        )
    return (json.dumps(rows) + "\n").encode()


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
