"""Pascal VOC segmentation: PNGs of classes and of objects, lists, and a label map.

Colours are those of VOC's own colour map, place by place: class 1 of the vocabulary is dark red.
CVAT calls this form "Segmentation mask 1.1".
"""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.class_png import class_indices
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.vocabulary import Vocabulary

PALETTE_VALUES = 254  # 255 means "void" to readers of VOC's palette
WHOLE = "trainval"  # VOC's list of all labelled images


def voc_files(image: ExportImage, vocabulary: Vocabulary) -> Iterator[tuple[str, bytes]]:
    """Yield the two PNGs of an image: paths in the export, and bytes."""
    panoptic_map = image.panoptic_map
    classes = class_indices(panoptic_map, vocabulary).astype(np.int64)  # [H, W]
    places = np.zeros(max((s.id for s in panoptic_map.segments), default=0) + 1, dtype=np.int64)
    places[[segment.id for segment in panoptic_map.segments]] = np.arange(
        1, len(panoptic_map.segments) + 1
    )
    objects = places[panoptic_map.ids]  # [H, W]
    yield f"SegmentationClass/{image.place.stem}.png", _png(classes, len(vocabulary))
    yield f"SegmentationObject/{image.place.stem}.png", _png(objects, len(panoptic_map.segments))


def voc_lists(
    parts: Mapping[str, Sequence[Place]], vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield the lists of images and the label map: paths in the export, and bytes."""
    for part, places in parts.items():
        lines = "".join(f"{place.stem}\n" for place in places)
        path = f"ImageSets/Segmentation/{part or WHOLE}.txt"
        yield path, lines.encode(errors="surrogateescape")
    rows = ["# label:color_rgb:parts:actions\n", "background:0,0,0::\n"]
    colors = voc_colors(np.arange(1, len(vocabulary) + 1)).tolist()
    for category, color in zip(vocabulary.categories, colors, strict=True):
        if ":" in category.name or "\n" in category.name:
            raise FormatError(f"VOC's label map cannot hold the name {category.name!r}; rename it")
        rows.append(f"{category.name}:{','.join(map(str, color))}::\n")
    yield "labelmap.txt", "".join(rows).encode()


def voc_colors(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return VOC's colours of indices [..., 3]: the bits of an index go to red, green and blue.

    The lowest three bits are the highest of the channels, the next three the second highest.
    """
    channels = np.zeros((*indices.shape, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            value = (indices >> (3 * bit + channel)) & 1
            channels[..., channel] |= (value << (7 - bit)).astype(np.uint8)
    return channels


def _png(indices: NDArray[np.int64], highest: int) -> bytes:
    """Return the PNG of indices [H, W]: with VOC's palette, or in its colours if there are more."""
    file = io.BytesIO()
    if highest > PALETTE_VALUES:
        Image.fromarray(voc_colors(indices)).save(file, "PNG")
    else:
        image = Image.fromarray(indices.astype(np.uint8)).convert("P")
        image.putpalette(voc_colors(np.arange(256)).tobytes())
        image.save(file, "PNG")
    return file.getvalue()
