"""CVAT's XML 1.1 "for images": a mask for each segment, and the classes with their colours.

Run lengths go row by row through the segment's box and begin outside, as CVAT writes them.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.documents import shortened
from frozenseg_label.errors import FormatError
from frozenseg_label.files import atomic_stream
from frozenseg_label.formats.coco_instances import polygon_mask
from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.formats.run_lengths import runs_of, unpacked, whole_numbers
from frozenseg_label.formats.shapes import (
    ForeignImage,
    ForeignSet,
    ImageShapes,
    Objects,
    Shape,
    Size,
    checked_points,
    checked_size,
    named,
    shape_of,
    vocabulary_of,
)
from frozenseg_label.panoptic import HUMAN, IMPORTED, Segment
from frozenseg_label.vocabulary import LONGEST_NAME, Vocabulary, same_name

DEEPEST = 100  # elements; CVAT has 7
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_cvat(path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]) -> None:
    """Write the XML; images are taken one at a time and not kept."""
    with atomic_stream(path) as file:
        file.write(_head(vocabulary).encode())
        for image in images:
            shapes = "".join(
                _mask(image.boxed_mask(segment), segment, vocabulary)
                for segment in image.panoptic_map.segments
            )
            name = quoteattr(_checked(image.place.file_name))
            head = (
                f'  <image id="{image.number - 1}" name={name} '
                f'width="{image.width}" height="{image.height}">\n'
            )
            file.write(f"{head}{shapes}  </image>\n".encode())
        file.write(b"</annotations>\n")


def row_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Return the run lengths of a mask [h, w], row by row, outside and inside by turns."""
    runs: list[int] = runs_of(mask.ravel()).tolist()
    return runs


def _head(vocabulary: Vocabulary) -> str:
    labels = "".join(
        f"        <label><name>{escape(_checked(category.name))}</name>"
        f"<color>#{bytes(category.color).hex()}</color><type>mask</type>"
        "<attributes></attributes></label>\n"
        for category in vocabulary.categories
    )
    name = escape(_checked(vocabulary.name))
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"  <meta>\n    <task>\n      <name>{name}</name>\n      <mode>annotation</mode>\n"
        f"      <labels>\n{labels}      </labels>\n    </task>\n  </meta>\n"
    )


def _mask(mask: NDArray[np.bool_], segment: Segment, vocabulary: Vocabulary) -> str:
    label = quoteattr(vocabulary.by_id(segment.category_id).name)
    source = "manual" if segment.source in (HUMAN, IMPORTED) else "auto"
    x, y, w, h = segment.bbox
    return (
        f'    <mask label={label} source="{source}" occluded="0" '
        f'rle="{", ".join(map(str, row_runs(mask)))}" '
        f'left="{x}" top="{y}" width="{w}" height="{h}" z_order="0"></mask>\n'
    )


def _checked(text: str) -> str:
    """Return a text that XML can hold; FormatError for another."""
    if _NOT_IN_XML.search(text):
        raise FormatError(f"the name {text!r} has characters that XML cannot hold; change it")
    return text


def read_cvat(path: Path) -> ForeignSet:
    """Open CVAT's XML; masks are unpacked when they are asked for."""
    document = _Document(path)
    document.parse()
    images = document.images
    drawn = [shape.said.get("label", "") for image in images for shape in image.areas()]
    vocabulary = vocabulary_of(path, [*document.labels, *drawn])
    ids = vocabulary.ids_by_name
    others = sum(len(image.shapes) - len(image.areas()) for image in images)
    note = f"{others} shapes are neither masks nor polygons; they were passed over"
    return ForeignSet(
        path=path,
        vocabulary=vocabulary,
        images=named(path, (_image(path, image, ids) for image in images)),
        pictures=(path.parent, path.parent / "images"),
        lists_classes=bool(document.labels),
        notes=(note,) if others else (),
    )


@dataclass(frozen=True)
class _Drawn:
    """An element inside of an image's: its name and its attributes."""

    kind: str
    said: Mapping[str, str]


@dataclass(frozen=True)
class _Annotated:
    """An `image` element."""

    said: Mapping[str, str]
    shapes: list[_Drawn]

    def areas(self) -> list[_Drawn]:
        """Return what has pixels, the lowest first."""
        areas = [shape for shape in self.shapes if shape.kind in ("mask", "polygon")]
        return sorted(areas, key=lambda shape: _finite(shape.said.get("z_order", "")) or 0.0)


class _Document:
    """What CVAT's XML says, taken up while it is parsed; entities and DTDs are refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.labels: list[str] = []
        self.images: list[_Annotated] = []
        self._open: list[str] = []  # names of the elements that are open
        self._text = ""

    def parse(self) -> None:
        """Read the file; FormatError: it is not whole, or not CVAT's."""
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            with self.path.open("rb") as file:
                parser.ParseFile(file)
        except (expat.ExpatError, OSError, ValueError, MemoryError) as error:
            raise FormatError(f"{self.path}: no whole XML ({error}); write it again") from error
        if not self.images:
            raise FormatError(
                f'{self.path}: has no images; export it as "CVAT for images 1.1" and name that file'
            )

    def _start(self, name: str, said: dict[str, str]) -> None:
        if name == "image" and len(self._open) == 1:
            self.images.append(_Annotated(said, []))
        elif self._open[1:] == ["image"] and name != "tag":
            self.images[-1].shapes.append(_Drawn(name, said))
        self._open.append(name)
        self._text = ""
        if len(self._open) > DEEPEST:
            raise FormatError(f"{self.path}: nested too deeply; write it again")

    def _end(self, _: str) -> None:
        if self._open[-3:] == ["labels", "label", "name"]:
            self.labels.append(self._text)
        self._open.pop()

    def _characters(self, text: str) -> None:
        if self._open[-1] == "name" and len(self._text) <= LONGEST_NAME:
            self._text += text

    def _refuse(self, *_: object) -> None:
        raise FormatError(f"{self.path}: has a document type, which CVAT does not write; remove it")


def _image(path: Path, image: _Annotated, ids: Mapping[str, int]) -> ForeignImage:
    name = image.said.get("name", "")
    where = f"{path}: image {name!r}"
    height, width = (round(_number(image.said.get(key, ""), where)) for key in ("height", "width"))

    def read(_: Size | None) -> ImageShapes:
        objects = Objects(checked_size(height, width, where))
        for place, drawn in enumerate(image.areas(), start=1):
            category_id = ids[same_name(drawn.said.get("label", ""))]
            shape = _shape(drawn, objects.size, category_id, f"{where}, {drawn.kind} {place}")
            group = drawn.said.get("group_id")
            objects.add(shape, None if group in ("0", "") else group)
        return objects.collected()

    found = tuple(ids[same_name(drawn.said.get("label", ""))] for drawn in image.areas())
    return ForeignImage(name, read, (height, width), found)


def _shape(drawn: _Drawn, size: Size, category_id: int, place: str) -> Shape | None:
    """Return the pixels of a mask or polygon; None where there are none."""
    said = drawn.said
    if drawn.kind == "polygon":
        pairs = [pair.split(",") for pair in said.get("points", "").split(";")]
        points = checked_points([[*map(_finite, pair)] for pair in pairs], size, place)
        shape = shape_of(polygon_mask([points], size), category_id)
        return None if shape is None else replace(shape, is_polygon=True)
    box = [round(_number(said.get(key, ""), place)) for key in ("left", "top", "width", "height")]
    x, y, w, h = box
    if min(x, y) < 0 or min(w, h) < 1 or x + w > size[1] or y + h > size[0]:
        raise FormatError(f"{place}: its box leaves the image; draw it again")
    try:
        runs = whole_numbers([int(run) for run in said.get("rle", "").split(",")], place)
    except ValueError as error:
        raise FormatError(f"{place}: its `rle` is no list of numbers; write it again") from error
    return shape_of(unpacked(runs, w * h, place).reshape(h, w), category_id, x, y)


def _finite(text: str) -> float | None:
    """Return a number; None where a text is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _number(text: str, place: str) -> float:
    """Return a number; FormatError where a text is none, or one that no image has."""
    number = _finite(text)
    if number is None or abs(number) >= 2**31:
        raise FormatError(f"{place}: {shortened(text)} is no number that fits; write it again")
    return number
