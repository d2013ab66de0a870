"""Pascal VOC segmentation: PNGs of classes and of objects, lists, and a label map.

Colours are those of VOC's own colour map, place by place: class 1 of the vocabulary is dark red.
CVAT calls this form "Segmentation mask 1.1".
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.documents import read_text
from frozenseg_label.errors import FormatError
from frozenseg_label.formats.class_png import class_indices
from frozenseg_label.formats.coco_panoptic import read_label_png
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.label_png import encode_label_png
from frozenseg_label.formats.shapes import (
    ForeignImage,
    ForeignSet,
    ImageShapes,
    Size,
    named,
    shape_of,
    vocabulary_of,
)
from frozenseg_label.vocabulary import Vocabulary, same_name

PALETTE_VALUES = 254  # 255 means "void" to readers of VOC's palette
WHOLE = "trainval"  # VOC's list of all labelled images
CLASSES, OBJECTS, LABEL_MAP = "SegmentationClass", "SegmentationObject", "labelmap.txt"
LARGEST_LABEL_MAP = 1 << 24  # bytes
BACKGROUND, VOID = 0, 0xE0E0C0  # colours as numbers
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


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
    if highest > PALETTE_VALUES:
        return encode_label_png(Image.fromarray(voc_colors(indices)))
    image = Image.fromarray(indices.astype(np.uint8)).convert("P")
    image.putpalette(voc_colors(np.arange(256)).tobytes())
    return encode_label_png(image)


def read_voc(path: Path) -> ForeignSet:
    """Open a folder in VOC's form; its PNGs are read when they are asked for."""
    folder = path / CLASSES
    names = sorted(png.relative_to(folder).as_posix() for png in folder.rglob("*.png"))
    label_map = _read_label_map(path / LABEL_MAP)
    vocabulary = vocabulary_of(path, label_map.values())
    ids = vocabulary.ids_by_name
    classes = {color: ids[same_name(name)] for color, name in label_map.items()}
    objects = (path / OBJECTS).is_dir()
    note = f"{path} has no folder {OBJECTS}: each class of an image is one segment"
    return ForeignSet(
        path=path,
        vocabulary=vocabulary,
        images=named(path, (_image(path, name, classes) for name in names)),
        pictures=(path / "JPEGImages",),
        notes=() if objects else (note,),
    )


def _read_label_map(path: Path) -> dict[int, str]:
    """Return the name of each colour, as one number; VOC's own where there is no such file.

    Rows without a colour (datumaro) mean VOC's colour of their place, the first one's is black.
    """
    if not path.exists():
        colors = voc_colors(np.arange(1, len(VOC_CLASSES) + 1))
        return dict(zip(_numbers(colors).tolist(), VOC_CLASSES, strict=True))
    found: dict[int, str] = {}
    lines = read_text(path, FormatError, LARGEST_LABEL_MAP).splitlines()
    rows = [(n, line) for n, line in enumerate(lines, start=1) if line.strip() and line[0] != "#"]
    for place, (number, line) in enumerate(rows):
        name, color, *_ = [*line.split(":"), ""]
        parts = color.split(",") if color else list(map(str, voc_colors(np.array(place)).tolist()))
        if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
            raise FormatError(f"{path}, line {number}: not `name:red,green,blue::`; correct it")
        red, green, blue = (int(part[:9]) for part in parts)
        if max(red, green, blue) > 255:
            raise FormatError(f"{path}, line {number}: colours end at 255; correct it")
        key = red << 16 | green << 8 | blue
        if key != BACKGROUND:
            found[key] = name.strip()
    return found


def _image(root: Path, name: str, classes: Mapping[int, int]) -> ForeignImage:
    def read(_: Size | None) -> ImageShapes:
        png = root / CLASSES / name
        colors = _read_colors(png)  # [H, W]
        others = root / OBJECTS / name
        has_objects = others.is_file()
        objects = _read_colors(others) if has_objects else np.zeros_like(colors)
        if objects.shape != colors.shape:
            raise FormatError(f"{others}: is not of the size of {png}; write it again")
        strange = set(np.unique(colors).tolist()) - classes.keys() - {BACKGROUND, VOID}
        if strange:
            color = ", ".join(map(str, min(strange).to_bytes(3)))
            raise FormatError(f"{png}: colour {color} is no class of {LABEL_MAP}; add it there")
        pairs = colors << 24 | np.where(objects == VOID, BACKGROUND, objects)
        shapes = []
        for pair in np.unique(pairs).tolist():
            if (color := pair >> 24) not in (BACKGROUND, VOID):
                shape = shape_of(pairs == pair, classes[color])
                if shape is not None:
                    shapes.append(replace(shape, is_region=not has_objects))
        return ImageShapes((colors.shape[0], colors.shape[1]), tuple(shapes))

    return ForeignImage(name.removesuffix(".png"), read)


def _read_colors(path: Path) -> NDArray[np.int64]:
    """Return the colour of each pixel as one number [H, W]."""
    png = read_label_png(path)
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            return _numbers(np.asarray(image.convert("RGB")))
    except (OSError, SyntaxError, ValueError) as error:
        raise FormatError(f"{path}: no whole PNG file ({error}); write it again") from error


def _numbers(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return colours [..., 3] as one number each."""
    red, green, blue = np.moveaxis(colors.astype(np.int64), -1, 0)
    numbers: NDArray[np.int64] = red << 16 | green << 8 | blue
    return numbers
