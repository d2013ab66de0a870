"""Rows of COCO's JSON files as any tool may write them; only what labels need is checked."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from PIL import ImageColor
from pydantic import BaseModel, BeforeValidator, ConfigDict

from frozenseg_label.errors import FormatError, VocabularyError
from frozenseg_label.formats.coco_panoptic import SegmentInfo
from frozenseg_label.panoptic import IMPORTED, ImageState, State
from frozenseg_label.vocabulary import NO_COLOR, Category, Color, Vocabulary


def _color(value: Any) -> Any:  # noqa: ANN401 - whatever a foreign file holds
    """Return a colour of numbers for `#rrggbb` and for none at all."""
    if isinstance(value, str):
        try:
            return ImageColor.getrgb(value)[:3]
        except ValueError:
            return NO_COLOR
    is_triple = isinstance(value, list | tuple) and len(value) == 3
    if is_triple and all(isinstance(part, int) and 0 <= part < 256 for part in value):
        return value
    return NO_COLOR


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(name) for name in value) if isinstance(value, list | tuple) else ()


def _supercategory(value: object) -> str:
    """Return what a file says; nothing where it only repeats the kind."""
    return value if isinstance(value, str) and value not in ("thing", "stuff") else ""


def _finite(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _side(value: object) -> int:
    number = _finite(value)
    return int(number) if number is not None and number > 0 else 0


Id = int | str  # Cityscapes', ADE20K's and Mapillary's own scripts write texts
OptionalNumber = Annotated[float | None, BeforeValidator(_finite)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


AnyRow = TypeVar("AnyRow", bound=_Row)


class CategoryRow(_Row):
    """An entry of `categories`."""

    id: int
    name: Annotated[str, BeforeValidator(lambda name: "" if name is None else str(name))] = ""
    isthing: bool = True
    color: Annotated[Color, BeforeValidator(_color)] = NO_COLOR
    synonyms: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    supercategory: Annotated[str, BeforeValidator(_supercategory)] = ""


class ImageRow(_Row):
    """An entry of `images`."""

    id: Id
    file_name: str | None = None
    width: Annotated[int, BeforeValidator(_side)] = 0
    height: Annotated[int, BeforeValidator(_side)] = 0


class SegmentRow(SegmentInfo):
    """An entry of any tool: what our own fields say counts only where it can be true."""

    score: OptionalNumber = None
    margin: OptionalNumber = None
    disagreement: OptionalNumber = None
    contested: OptionalNumber = None
    sam_disagreement: OptionalNumber = None
    second: Annotated[int | None, BeforeValidator(_whole)] = None
    iscrowd: Annotated[bool, BeforeValidator(bool)] = False
    source: Annotated[str, BeforeValidator(lambda s: s if isinstance(s, str) else IMPORTED)] = (
        IMPORTED
    )
    state: Annotated[
        State, BeforeValidator(lambda state: state if state in get_args(State) else "accepted")
    ] = "accepted"
    accepted_by: Annotated[
        str | None, BeforeValidator(lambda rule: rule if isinstance(rule, str) else None)
    ] = None
    note: Annotated[str, BeforeValidator(lambda note: note if isinstance(note, str) else "")] = ""


def vocabulary_of_rows(path: Path, rows: Iterable[CategoryRow]) -> Vocabulary:
    """Return the classes of `categories`; FormatError where they are none.

    Args:
        path: of the file.
    """
    try:
        categories = [
            Category(r.name, r.id, r.synonyms, r.isthing, r.color, supercategory=r.supercategory)
            for r in rows
        ]
        return Vocabulary(path.stem, tuple(categories))
    except VocabularyError as error:
        raise FormatError(f"{path}: in `categories`, {error}") from error


class AnnotationRow(_Row):
    """An entry of `annotations` in COCO panoptic."""

    image_id: Id
    file_name: str
    segments_info: tuple[SegmentRow, ...]
    state: Annotated[
        ImageState,
        BeforeValidator(lambda state: state if state in get_args(ImageState) else "reviewed"),
    ] = "reviewed"
