"""Reading a folder of class PNGs with its `classes.json`: ours, whoever changed the pixels."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from frozenseg_label.errors import FormatError, VocabularyError
from frozenseg_label.vocabulary import Category, Color, Vocabulary

CLASSES_FILE = "classes.json"


@dataclass(frozen=True)
class ClassPngFolder:
    """Class PNGs of many images.

    Attributes:
        path: of the folder.
        vocabulary: the classes in the order of the pixel values 1..K; that they are things or stuff
            is not in the file, all count as things.
        images: names of the images, which are the PNGs' paths without their last `.png`.
    """

    path: Path
    vocabulary: Vocabulary
    images: tuple[str, ...]

    def png(self, image: str) -> Path:
        """The class PNG of an image."""
        return self.path / f"{image}.png"

    def read(self, image: str) -> NDArray[np.int32]:
        """The class of each pixel [H, W]: 0 = unlabelled, 1..K."""
        path = self.png(image)
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as file:
                pixels = np.asarray(file)
        except (OSError, SyntaxError, ValueError) as error:
            raise FormatError(f"{path}: no whole PNG file ({error}); write it again") from error
        if pixels.ndim != 2 or int(pixels.max(initial=0)) > len(self.vocabulary):
            raise FormatError(
                f"{path}: a class PNG has one channel with values 0..{len(self.vocabulary)}, this "
                f"one has shape {pixels.shape} and values up to {int(pixels.max(initial=0))}; make "
                f"it fit {CLASSES_FILE}"
            )
        return pixels.astype(np.int32)


def read_class_png_folder(path: Path) -> ClassPngFolder:
    """Open a folder that has a `classes.json`; PNGs are read when they are asked for."""
    vocabulary = _read_classes(path / CLASSES_FILE)
    images = sorted(png.relative_to(path).as_posix()[: -len(".png")] for png in path.rglob("*.png"))
    return ClassPngFolder(path, vocabulary, tuple(images))


@checked_dataclass(frozen=True)
class _Row:
    index: int
    name: str
    color: Color
    category_id: int | None = None


def _read_classes(path: Path) -> Vocabulary:
    try:
        rows = TypeAdapter(list[_Row]).validate_python(json.loads(path.read_bytes()))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read, {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise FormatError(f"{path}: {where}: {fault['msg']}; write it again") from None
    except ValueError as error:
        raise FormatError(f"{path}: no whole JSON file ({error}); write it again") from error
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
