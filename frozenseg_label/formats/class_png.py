"""Class PNGs, made from a panoptic map: one with all classes, or a black and white one per class.

In a class PNG, 0 is unlabelled and 1..K are the classes in the order of the vocabulary; the palette
shows their colours. A palette holds 256 colours: with more than 255 classes the PNG is 16 bit grey.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from frozenseg_label.documents import read_json
from frozenseg_label.errors import FormatError, VocabularyError
from frozenseg_label.files import read_regular
from frozenseg_label.formats.label_png import encode_label_png
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Category, Color, Vocabulary

PALETTE_CLASSES = 255
CLASSES_FILE = "classes.json"
LONGEST_NAME = 255  # bytes that file systems allow in a name


def class_png_files(
    file: str, panoptic_map: PanopticMap, vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield the class PNG of an image: its path in the folder of class PNGs, and its bytes.

    Args:
        file: the path of its PNG in any folder of labels.
    """
    indices = class_indices(panoptic_map, vocabulary)
    yield file, encode_class_png(indices, vocabulary)


def per_class_png_files(
    file: str, panoptic_map: PanopticMap, vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield a PNG, 255 inside and 0 outside, for each class that occurs: paths and bytes.

    Args:
        file: as of `class_png_files`.
    """
    indices = class_indices(panoptic_map, vocabulary)  # [H, W]
    for category_id in {segment.category_id: None for segment in panoptic_map.segments}:
        mask = indices == vocabulary.index_of(category_id) + 1  # [H, W]
        name = vocabulary.by_id(category_id).name
        yield (
            per_class_png_path(file, name),
            encode_label_png(Image.fromarray(mask.astype(np.uint8) * 255)),
        )


def per_class_png_path(file: str, class_name: str) -> str:
    """Return where the PNG of one class of an image is, in the folder of such PNGs."""
    return f"{escaped(class_name)}/{file}"


def escaped(class_name: str) -> str:
    """Return a class name as a folder's name on any system.

    `urllib.parse.unquote` undoes it, unless it is too long for a file system: then it is cut, and a
    hash keeps it apart from others.
    """
    name = quote(class_name, safe="").replace(".", "%2E")
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(class_name.encode()).hexdigest()[:16]
    return f"{name[: LONGEST_NAME - len(digest) - 1]}~{digest}"


def class_indices(panoptic_map: PanopticMap, vocabulary: Vocabulary) -> NDArray[np.uint16]:
    """Return the class of each pixel [H, W]: 0 = unlabelled, 1..K in the vocabulary's order."""
    highest = max((segment.id for segment in panoptic_map.segments), default=0)
    index_of_id = np.zeros(highest + 1, dtype=np.uint16)
    for segment in panoptic_map.segments:
        index_of_id[segment.id] = vocabulary.index_of(segment.category_id) + 1
    return index_of_id[panoptic_map.ids]


def encode_class_png(indices: NDArray[np.integer], vocabulary: Vocabulary) -> bytes:
    """Return the PNG file of class indices [H, W], 0..K."""
    if indices.size and not 0 <= indices.min() <= indices.max() <= len(vocabulary.categories):
        raise ValueError(
            f"class indices must lie in 0..{len(vocabulary.categories)}, "
            f"got {indices.min()}..{indices.max()}"
        )
    if len(vocabulary.categories) > PALETTE_CLASSES:
        return encode_label_png(Image.fromarray(indices.astype(np.uint16)))
    image = Image.fromarray(indices.astype(np.uint8), mode="P")
    colors = [(0, 0, 0), *(category.color for category in vocabulary.categories)]
    image.putpalette([channel for color in colors for channel in color])
    return encode_label_png(image)


def classes_file(vocabulary: Vocabulary) -> bytes:
    """Return the meaning of each pixel value of class PNGs, as JSON."""
    rows: list[dict[str, JsonValue]] = [{"index": 0, "name": "unlabelled", "color": [0, 0, 0]}]
    for index, category in enumerate(vocabulary.categories, start=1):
        color: list[JsonValue] = list(category.color)
        rows.append(
            {"index": index, "name": category.name, "color": color, "category_id": category.id}
        )
    return (json.dumps(rows) + "\n").encode()


@dataclass(frozen=True)
class ClassPngFolder:
    """Class PNGs of many images.

    Attributes:
        path: of the folder.
        vocabulary: the K classes.
        images: the PNGs' paths without `ending`: names of images without suffix.
        classes: pixel value -> class 1..K in the order of the vocabulary, or 0: unlabelled. A PNG
            with any other value is refused.
        ending: of the PNGs' names.
        tells_kinds: the vocabulary knows things from stuff; else all count as things.
    """

    path: Path
    vocabulary: Vocabulary
    images: tuple[str, ...]
    classes: Mapping[int, int]
    ending: str = ".png"
    tells_kinds: bool = False

    def png(self, image: str) -> Path:
        """Return the class PNG of an image."""
        return self.path / f"{image}{self.ending}"

    def read(self, image: str) -> NDArray[np.int32]:
        """Return the class of each pixel [H, W]: 0 = unlabelled, 1..K."""
        path = self.png(image)
        pixels = read_class_values(path)
        classes = np.full(int(max(pixels.max(initial=0), *self.classes)) + 1, -1, np.int32)
        classes[list(self.classes)] = list(self.classes.values())
        found: NDArray[np.int32] = classes[pixels]
        if found.min(initial=0) < 0:
            value = int(pixels[found < 0].min())
            raise FormatError(
                f"{path}: value {value} is no class of {self.vocabulary.name} "
                f"({len(self.vocabulary)} classes); correct the PNG, or leave these pixels out "
                f"with --ignore-index {value} (evaluate)"
            )
        return found


def read_class_values(path: Path) -> NDArray[np.int32]:
    """Return the value of each pixel [H, W] of a PNG with one channel; of a palette, the place."""
    try:
        with Image.open(io.BytesIO(read_regular(path, FormatError))) as file:
            pixels = np.asarray(file)
    except (OSError, SyntaxError, ValueError) as error:
        raise FormatError(f"{path}: no whole PNG file ({error}); write it again") from error
    if pixels.ndim != 2:
        raise FormatError(
            f"{path}: a class PNG has one channel, this one has shape {pixels.shape}; write the "
            "numbers of the classes, not their colours"
        )
    return pixels.astype(np.int32)


def read_class_png_folder(path: Path, ignore_index: int | None = None) -> ClassPngFolder:
    """Open a folder of class PNGs, which are read when they are asked for.

    Args:
        path: of the folder; `classes.json` is in it or beside it.
        ignore_index: pixel value that means unlabelled, beside 0.
    """
    vocabulary = _read_classes(classes_path(path) or path / CLASSES_FILE)
    images = sorted(png.relative_to(path).as_posix()[: -len(".png")] for png in path.rglob("*.png"))
    classes = {value: value for value in range(len(vocabulary) + 1)}
    if ignore_index is not None:
        classes[ignore_index] = 0
    return ClassPngFolder(path, vocabulary, tuple(images), classes)


def classes_path(folder: Path) -> Path | None:
    """Return the `classes.json` of a folder of class PNGs; None where there is none."""
    places = (folder / CLASSES_FILE, folder.parent / CLASSES_FILE)
    return next((path for path in places if folder.is_dir() and path.is_file()), None)


@checked_dataclass(frozen=True)
class _Row:
    index: int
    name: str
    color: Color
    category_id: int | None = None


def _read_classes(path: Path) -> Vocabulary:
    try:
        rows = TypeAdapter(list[_Row]).validate_python(read_json(path, FormatError))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise FormatError(f"{path}: {where}: {fault['msg']}; write it again") from None
    rows = sorted((row for row in rows if row.index), key=lambda row: row.index)
    if [row.index for row in rows] != list(range(1, len(rows) + 1)):
        raise FormatError(f"{path}: the indices must be 0, 1, 2 and so on; write it again")
    try:
        categories = [
            Category(row.name, row.index if row.category_id is None else row.category_id)
            for row in rows
        ]
        return Vocabulary(path.parent.name, tuple(categories))
    except VocabularyError as error:
        raise FormatError(f"{path}: {error}") from error
