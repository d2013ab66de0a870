"""labelme 5 and later: a JSON beside each picture, with a mask for each segment."""

import base64
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from frozenseg_label.documents import read_json
from frozenseg_label.errors import FaultyLabelsError, FormatError
from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.formats.label_png import encode_label_png
from frozenseg_label.formats.shapes import (
    ForeignImage,
    ForeignSet,
    ImageShapes,
    Objects,
    Shape,
    Size,
    checked_points,
    checked_size,
    filled,
    named,
    shape_of,
    vocabulary_of,
)
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Vocabulary, same_name

VERSION = "5.5.0"  # of labelme, whose fields these are
LARGEST_FILE = 1 << 29  # bytes; labelme puts whole pictures in its files
_UNREADABLE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError,
    Image.DecompressionBombError,
)  # fmt: skip
_AREAS = ("mask", "polygon", None)


def labelme_files(image: ExportImage, vocabulary: Vocabulary) -> Iterator[tuple[str, bytes]]:
    """Yield the JSON of an image: its path in the export, and its bytes."""
    document: dict[str, JsonValue] = {
        "version": VERSION,
        "flags": {},
        "shapes": [
            _shape(image.boxed_mask(segment), segment, vocabulary)
            for segment in image.panoptic_map.segments
        ],
        "imagePath": _picture_from(PurePosixPath(image.place.path).parent, image),
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
    }
    yield f"{image.place.path}.json", json.dumps(document, allow_nan=False).encode()


def _picture_from(folder: PurePosixPath, image: ExportImage) -> str:
    """Return the path of the picture as seen from a folder of the export."""
    picture = PurePosixPath(image.place.file_name if image.picture is None else image.picture)
    if picture.parent == folder:
        return picture.name
    return "../" * len(folder.parts) + picture.as_posix()


def _shape(
    mask: NDArray[np.bool_], segment: Segment, vocabulary: Vocabulary
) -> dict[str, JsonValue]:
    x, y, w, h = segment.bbox
    png = encode_label_png(Image.fromarray(mask.astype(np.uint8)))
    return {
        "label": vocabulary.by_id(segment.category_id).name,
        "points": [[x, y], [x + w - 1, y + h - 1]],  # both pixels belong to the box
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(png).decode("ascii"),
    }


def read_labelme(path: Path) -> ForeignSet:
    """Open a folder of labelme's JSON files, or one of them; they are read again for the shapes."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    documents: list[tuple[Path, _Document]] = []
    faults, others, passed_over = [], 0, 0
    for file in files:
        content = read_json(file, FormatError, LARGEST_FILE)
        if not isinstance(content, dict) or "shapes" not in content:
            others += 1
            continue
        try:
            document = _Document.model_validate(content)
        except ValidationError as error:
            faults += [_sentence(file, fault) for fault in error.errors()]
            continue
        passed_over += sum(shape.shape_type not in _AREAS for shape in document.shapes)
        documents.append((file, document.without_pixels()))
    if faults and not documents:
        raise FaultyLabelsError(path, faults)
    names = [shape.label for _, document in documents for shape in document.areas()]
    vocabulary = vocabulary_of(path, names)
    ids = vocabulary.ids_by_name
    notes = {
        "JSON files are not labelme's": others,
        "shapes are neither masks nor polygons": passed_over,
    }
    return ForeignSet(
        path=path,
        vocabulary=vocabulary,
        images=named(path, (_image(root, *found, ids) for found in documents)),
        pictures=(root,),
        lists_classes=False,
        faults=tuple(faults),
        notes=tuple(f"{n} {what}; they were passed over" for what, n in notes.items() if n),
    )


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    label: str
    points: list[Any] = []
    group_id: int | str | None = None
    shape_type: str | None = "polygon"
    mask: str | None = None


class _Document(BaseModel):
    """One of labelme's files."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    shapes: tuple[_Shape, ...]
    imagePath: str = ""  # noqa: N815 - labelme's name
    imageHeight: int  # noqa: N815
    imageWidth: int  # noqa: N815

    def areas(self) -> Iterator[_Shape]:
        """Yield the shapes that have pixels."""
        return (shape for shape in self.shapes if shape.shape_type in _AREAS)

    def without_pixels(self) -> "_Document":
        """Return it without what takes memory."""
        bare = (s.model_copy(update={"points": [], "mask": None}) for s in self.shapes)
        return self.model_copy(update={"shapes": tuple(bare)})


def _sentence(file: Path, fault: Any) -> str:  # noqa: ANN401 - of pydantic
    return f"{file}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def _image(root: Path, file: Path, document: _Document, ids: Mapping[str, int]) -> ForeignImage:
    suffix = PurePosixPath(document.imagePath.replace("\\", "/")).suffix
    name = file.relative_to(root).with_suffix(suffix).as_posix()
    found = tuple(ids[same_name(shape.label)] for shape in document.areas())

    def read(_: Size | None) -> ImageShapes:
        now = _Document.model_validate(read_json(file, FormatError, LARGEST_FILE))
        objects = Objects(checked_size(now.imageHeight, now.imageWidth, f"{file}"))
        for place, said in enumerate(now.areas()):
            shape = _read_shape(said, objects.size, ids, f"{file}: shapes.{place}")
            objects.add(shape, said.group_id)
        return objects.collected()

    return ForeignImage(name, read, (document.imageHeight, document.imageWidth), found)


def _read_shape(said: _Shape, size: Size, ids: Mapping[str, int], place: str) -> Shape | None:
    """Return the pixels of a shape; None where there are none."""
    category_id = ids.get(same_name(said.label))
    if category_id is None:
        raise FormatError(f"{place}: the file has changed since it was opened; try again")
    if said.shape_type != "mask":
        return filled(checked_points(said.points, size, place), size, category_id)
    try:
        x, y = (round(number) for number in said.points[0])
        with Image.open(io.BytesIO(base64.b64decode(said.mask or "")), formats=["PNG"]) as png:
            w, h = png.size
            if x < 0 or y < 0 or x + w > size[1] or y + h > size[0]:
                raise FormatError(f"{place}: its mask leaves the image; draw it again")
            mask = np.asarray(png.convert("L")) > 0  # [h, w]
    except _UNREADABLE as error:
        raise FormatError(f"{place}: no mask that can be read ({error}); draw it again") from error
    return shape_of(mask, category_id, x, y)
