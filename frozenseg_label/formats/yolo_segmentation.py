"""YOLO segmentation, as ultralytics reads it: a text file an image, a row with a polygon a segment.

Holes are filled. The parts of a segment are joined by lines, there and back, as ultralytics' own
converter from COCO joins them: a row is an object. Class numbers are places in the vocabulary,
from 0.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from frozenseg_label.documents import LARGEST_YAML, parse_yaml, read_text, shortened
from frozenseg_label.errors import FormatError, VocabularyError
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.outlines import joined, outlines, polygon
from frozenseg_label.formats.shapes import (
    ForeignImage,
    ForeignSet,
    ImageShapes,
    Objects,
    Size,
    checked_points,
    checked_size,
    filled,
    named,
)
from frozenseg_label.image_formats import image_suffixes
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Category, Vocabulary

PARTS = ("train", "val", "test")
BOX = 5  # words of a row that is no polygon
LARGEST = 1 << 28  # bytes of a list or of an image's labels
FEWEST_POINTS = 3  # readers take a row of fewer for a box

# Polygons go through pixels, not along their rims. Readers multiply by the size and then cut off
# (ultralytics) or round: from a quarter inside the pixel, both come to the pixel itself.
INSIDE = 0.25


def yolo_files(image: ExportImage, vocabulary: Vocabulary) -> Iterator[tuple[str, bytes]]:
    """Yield the text file of an image: its path in the export, and its bytes."""
    size = np.array([image.width, image.height])
    rows = []
    for segment in image.panoptic_map.segments:
        points = (segment_polygon(image, segment) + INSIDE) / size  # [N, 2]
        numbers = " ".join(f"{number:.6f}" for number in points.ravel().tolist())
        rows.append(f"{vocabulary.index_of(segment.category_id)} {numbers}\n")
    yield f"labels/{image.place.path}.txt", "".join(rows).encode()


def segment_polygon(image: ExportImage, segment: Segment) -> NDArray[np.int64]:
    """Return the one polygon of a segment, through pixels, x and y [N, 2], N >= 3."""
    outer = [outline for outline in outlines(image.boxed_mask(segment)) if not outline.is_hole]
    points = joined([polygon(outline) for outline in outer]) + segment.bbox[:2]
    missing = max(0, FEWEST_POINTS - len(points))
    return np.concatenate([points, np.repeat(points[-1:], missing, axis=0)])


def yolo_lists(
    parts: Mapping[str, Sequence[Place]], vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield the lists of pictures and `data.yaml`: paths in the export, and bytes."""
    lists = {part or "train": f"{part or 'train'}.txt" for part in parts}
    for part, places in parts.items():
        lines = [f"./images/{place.path}{place.suffix}\n" for place in places]
        yield lists[part or "train"], "".join(lines).encode(errors="surrogateescape")
    whole = next(iter(lists.values()))  # readers insist on both, train and val
    remark = "" if {"train", "val"} <= lists.keys() else f"# No other images: {whole} is both.\n"
    names = {index: category.name for index, category in enumerate(vocabulary.categories)}
    data = {"train": whole, "val": whole, **lists, "names": names}
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    yield "data.yaml", (remark + text).encode()


def read_yolo(path: Path) -> ForeignSet:
    """Open a YOLO set by its `data.yaml`; polygons are read again when they are asked for."""
    data = parse_yaml(read_text(path, FormatError, LARGEST_YAML), f"{path}", FormatError)[0]
    said = data.get("names") if isinstance(data, dict) else None
    listed = dict(enumerate(said)) if isinstance(said, list) else {}
    named_by = said if isinstance(said, dict) else listed
    if not named_by or not all(type(key) is int and key >= 0 for key in named_by):
        raise FormatError(f"{path}: has no `names` of classes, numbered from 0; add them")
    try:
        categories = [Category(f"{name}", number) for number, name in sorted(named_by.items())]
        vocabulary = Vocabulary(path.parent.name, tuple(categories))
    except VocabularyError as error:
        raise FormatError(f"{path}: in `names`, {error}") from error
    root = Path(os.path.normpath(path.parent / f"{data.get('path') or ''}"))
    root = root if root.is_dir() else path.parent
    pictures = _pictures(root, data)
    labels = {name: _Labels(picture, set(named_by)) for name, picture in pictures.items()}
    found, boxes = {}, 0
    for name, label in labels.items():
        lines = label.lines()
        found[name] = tuple(number for number, _, _ in label.rows(lines))
        boxes += sum(len(words) == BOX for words in lines)
    note = f"{boxes} rows are boxes, not polygons; they were passed over"
    parts = [root / "images" / part for part in ("", *PARTS)]
    return ForeignSet(
        path=path,
        vocabulary=vocabulary,
        images=named(path, (ForeignImage(n, labels[n].read, None, found[n]) for n in labels)),
        pictures=tuple(parts),
        notes=(note,) if boxes else (),
    )


@dataclass(frozen=True)
class _Labels:
    """The text file of a picture.

    Attributes:
        picture: path, which says where the labels are.
        classes: numbers that there are.
    """

    picture: Path
    classes: Collection[int]

    @property
    def path(self) -> Path:
        """Return the file; it is missing where a picture shows nothing."""
        parts = self.picture.parts
        place = max((n for n, part in enumerate(parts) if part == "images"), default=None)
        if place is not None:
            parts = (*parts[:place], "labels", *parts[place + 1 :])
        return Path(*parts).with_suffix(".txt")

    def lines(self) -> list[list[str]]:
        """Return the words of each line."""
        if not self.path.is_file():
            return []
        return [line.split() for line in read_text(self.path, FormatError, LARGEST).splitlines()]

    def rows(self, lines: Sequence[list[str]]) -> Iterator[tuple[int, list[str], str]]:
        """Yield the class, the coordinates and the place of each polygon."""
        for number, words in enumerate(lines, start=1):
            if not words or len(words) == BOX:
                continue
            place = f"{self.path}, line {number}"
            if not words[0].isdecimal() or int(words[0][:9]) not in self.classes:
                raise FormatError(f"{place}: {shortened(words[0])} is no class of the set")
            yield int(words[0][:9]), words[1:], place

    def read(self, size: Size | None) -> ImageShapes:
        """Return the polygons in pixels."""
        if size is None:
            raise FormatError(
                f"{self.picture}: is missing; without it nobody knows the size of {self.path}"
            )
        objects = Objects(checked_size(*size, f"{self.path}"))
        width_height = np.array([size[1], size[0]])
        for category_id, words, place in self.rows(self.lines()):
            # A pixel holds all points from its corner to the next one.
            share = checked_points(words, (1, 1), place)
            points = np.minimum(np.floor(share * width_height), width_height - 1)
            objects.add(filled(points, size, category_id))
        return objects.collected()


def _pictures(root: Path, data: Mapping[str, Any]) -> dict[str, Path]:
    """Return the pictures by name, which is without the folder of a part where that is clear."""
    names: dict[Path, str] = {}
    for part in PARTS:
        said = data.get(part)
        for entry in said if isinstance(said, list) else [said]:
            for picture in _listed(root / entry) if isinstance(entry, str) else ():
                name = picture.as_posix().rpartition("/images/")[2]
                names.setdefault(picture, name.removeprefix(f"{part}/"))
    if not names:  # the pictures were left out
        for text in sorted((root / "labels").rglob("*.txt")):
            name = text.relative_to(root / "labels").with_suffix("").as_posix()
            names[root / "images" / f"{name}.*"] = name
    if len(set(names.values())) < len(names):
        names = {path: path.as_posix() for path in names}
    return {name: path for path, name in names.items()}


def _listed(entry: Path) -> Iterator[Path]:
    """Yield the pictures of a list or a folder."""
    if entry.suffix == ".txt" and entry.is_file():
        for line in read_text(entry, FormatError, LARGEST).splitlines():
            if line.strip():
                yield Path(os.path.normpath(entry.parent / line.strip()))
    elif entry.is_dir():
        for picture in sorted(entry.rglob("*")):
            if picture.suffix.lower() in image_suffixes():
                yield Path(os.path.normpath(picture))
