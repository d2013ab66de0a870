"""The rows of a COCO panoptic JSON of any tool, read once: what of them memory keeps.

What labels need is read, all else is ignored.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from frozenseg_label.errors import FaultyLabelsError, FormatError
from frozenseg_label.formats.coco_rows import AnnotationRow, CategoryRow, Id, ImageRow
from frozenseg_label.formats.json_rows import JsonRows, RowPlace
from frozenseg_label.vocabulary import Vocabulary


class ImagePlace(NamedTuple):
    """What memory keeps of one image; the rest is read from the JSON when it is needed.

    Attributes:
        place: of the annotation in the JSON.
        others: as in `PanopticAnnotation`.
    """

    image_id: Id
    file_name: str
    png_name: str
    width: int
    height: int
    place: RowPlace


class _Image(NamedTuple):
    """What an entry of `images` says; as in `ImageRow`."""

    file_name: str | None = None
    width: int = 0
    height: int = 0


class _Annotation(NamedTuple):
    """What is kept of an annotation until all images are known."""

    image_id: Id
    png_name: str
    place: RowPlace


class PanopticRows:
    """What was kept of the rows of a JSON.

    Attributes:
        rows: the JSON, to read rows again.
        images: by id; of two entries with one id, the last one.
        listed_twice: ids of images.
        categories: all entries.
        annotations: those that can be read.
        doubled: places of annotations that have an id twice.
        used: ids of all categories of segments.
        faults: what is wrong with the annotations that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        """Read the JSON at `path`; FormatError where that cannot be done."""
        self.rows = JsonRows(path)
        self.images: dict[Id, _Image] = {}
        self.listed_twice: dict[Id, None] = {}  # a set that keeps the order
        self.categories: list[CategoryRow] = []
        self.annotations: list[_Annotation] = []
        self.doubled: set[RowPlace] = set()
        self.used: set[int] = set()
        self.faults: list[str] = []
        self._wanted: set[str] = set()  # images of annotations that cannot be read
        self._problems: list[str] = []  # of images and categories
        self._numbers: dict[str, int] = {}  # of rows, of the keys whose values are lists
        self._others: set[str] = set()  # the keys whose values are something else
        for key, place, row in self.rows:
            self._add(key, place, row)
        if "annotations" not in self._numbers:
            raise FormatError(f"{path}: has no list of `annotations`; name a COCO panoptic JSON")

    def complete(self, images: Iterable[ImagePlace] | None, vocabulary: Vocabulary | None) -> None:
        """Check images and categories, and take over the lists that the JSON does not have.

        Args:
            images: of the set that the labels are predictions for; None: there is none.
            vocabulary: likewise.
        """
        there = self._numbers.keys() | self._others
        lacking = [name for name in ("images", "categories") if name not in there]
        if lacking and (images is None or vocabulary is None):
            raise FormatError(
                f"{self.rows.path}: has no `{lacking[0]}`; a file that has only predictions can be "
                "read beside the COCO panoptic JSON that they are predictions for"
            )
        for name in ("images", "categories"):
            if name in self._others:
                raise FormatError(f"{self.rows.path}: `{name}` is no list; write it again")
        if self._problems:
            raise FaultyLabelsError(self.rows.path, self._problems)
        if "images" in lacking and images is not None:
            wanted = self._wanted | {f"{annotation.image_id}" for annotation in self.annotations}
            chosen = (image for image in images if f"{image.image_id}" in wanted)
            self.images = {image.image_id: _Image(image.file_name) for image in chosen}
        if "categories" in lacking and vocabulary is not None:
            self.categories = [
                CategoryRow(
                    id=c.id, name=c.name, isthing=c.is_thing, color=c.color, synonyms=c.synonyms
                )
                for c in vocabulary.categories
            ]

    def read(self, place: RowPlace) -> AnnotationRow:
        """Return an annotation once more."""
        # Not model_validate_json: it refuses the escapes of file names that are no Unicode.
        return AnnotationRow.model_validate(self.rows.row(place))

    def _add(self, key: str, place: RowPlace | None, row: Any) -> None:  # noqa: ANN401 - anything
        """Take what `JsonRows` yields."""
        if place is None:
            self._numbers.pop(key, None)
            self._others.discard(key)
            if isinstance(row, list):
                self._numbers[key] = 0
            elif row is not None:
                self._others.add(key)
            return
        number = self._numbers[key]
        self._numbers[key] = number + 1
        try:
            if key == "annotations":
                self._add_annotation(place, row, f"annotations.{number}")
            elif key == "images":
                self._add_image(ImageRow.model_validate(row))
            elif key == "categories":
                self.categories.append(CategoryRow.model_validate(row))
        except ValidationError as error:
            self._problems += _sentences(f"{key}.{number}", error)

    def _add_image(self, row: ImageRow) -> None:
        if row.id in self.images:
            self.listed_twice[row.id] = None
        self.images[row.id] = _Image(row.file_name, row.width, row.height)

    def _add_annotation(self, place: RowPlace, row: Any, where: str) -> None:  # noqa: ANN401
        try:
            found = AnnotationRow.model_validate(row)
        except ValidationError as error:
            name = row.get("file_name") if isinstance(row, dict) else None
            self.faults += _sentences(f"{name or where}", error)
            if isinstance(row, dict):
                self._wanted.add(f"{row.get('image_id')}")
            return
        self.used.update(info.category_id for info in found.segments_info)
        if len({info.id for info in found.segments_info}) < len(found.segments_info):
            self.doubled.add(place)
        self.annotations.append(_Annotation(found.image_id, found.file_name, place))


def _sentences(where: str, error: ValidationError) -> list[str]:
    return [
        f"{'.'.join([where, *map(str, fault['loc'])])}: {fault['msg']}" for fault in error.errors()
    ]
