"""Labels of other tools as shapes that may overlap, and the rule that makes one map of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from frozenseg_label.errors import FormatError, VocabularyError
from frozenseg_label.formats.coco_panoptic import MAX_PIXELS
from frozenseg_label.panoptic import IMPORTED, PanopticMap, Segment
from frozenseg_label.vocabulary import Category, Vocabulary, same_name

OnTop = Literal["last", "first", "small", "score"]  # which of two shapes has the common pixels
_Value = TypeVar("_Value", bound=np.generic)
Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Shape:
    """One object or region, as another tool has it.

    Attributes:
        category_id: in the vocabulary of its set.
        mask: its pixels within its box [h, w]; at least one.
        x, y: left and upper end of the box.
        score: None where nobody gave one.
        is_crowd: None where the format does not tell.
        is_polygon: it was drawn from a polygon, which has no holes.
        is_region: all pixels of a class, whose segments are not told apart.
    """

    category_id: int
    mask: NDArray[np.bool_]
    x: int = 0
    y: int = 0
    score: float | None = None
    is_crowd: bool | None = None
    is_polygon: bool = False
    is_region: bool = False

    @property
    def area(self) -> int:
        """Return the number of its pixels."""
        return int(np.count_nonzero(self.mask))

    def cut(self, array: NDArray[_Value]) -> NDArray[_Value]:
        """Return the part of an array [H, W] in its box [h, w], as a view."""
        height, width = self.mask.shape
        return array[self.y : self.y + height, self.x : self.x + width]


@dataclass(frozen=True)
class ImageShapes:
    """All shapes of an image, those that lie on top last."""

    size: Size
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class ForeignImage:
    """One image of a set of another tool.

    Attributes:
        name: of the image, a path as the tool has it.
        read: returns the shapes; it is given the size, for formats that do not tell it.
            FormatError: they cannot be read.
        size: None: it comes with the shapes.
        category_ids: of the shapes; None: only the pixels tell.
        is_proposal: it has what a model said, and nobody has looked at it.
    """

    name: str
    read: Callable[[Size | None], ImageShapes]
    size: Size | None = None
    category_ids: tuple[int, ...] | None = None
    is_proposal: bool = False


@dataclass(frozen=True)
class ForeignSet:
    """A set of another tool.

    Attributes:
        path: of its file or folder.
        vocabulary: its classes.
        images: by name.
        pictures: folders where the pictures may be.
        lists_classes: it says which classes there are, not only which occur.
        tells_kinds: it says what are things and what is stuff; else all count as things.
        faults: what is wrong with entries that were left out, a sentence for each.
        notes: what was passed over, though nothing is wrong with it.
    """

    path: Path
    vocabulary: Vocabulary
    images: Mapping[str, ForeignImage]
    pictures: tuple[Path, ...] = ()
    lists_classes: bool = True
    tells_kinds: bool = False
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overlaps:
    """What shapes lost to others.

    Attributes:
        pixels: that are in several shapes.
        shapes: that lost some of their pixels; `hidden` ones lost all.
    """

    pixels: int = 0
    shapes: int = 0
    hidden: int = 0

    def __add__(self, other: "Overlaps") -> "Overlaps":
        return Overlaps(
            self.pixels + other.pixels, self.shapes + other.shapes, self.hidden + other.hidden
        )


@dataclass
class Objects:
    """Collects shapes; those of one group and class become one, as parts of one object.

    Attributes:
        size: of the image.
    """

    size: Size
    _shapes: list[Shape] = field(default_factory=list)
    _places: dict[tuple[object, int], int] = field(default_factory=dict)

    def add(self, shape: Shape | None, group: object = None) -> None:
        """Take a shape, None: nothing is there; group None: it is an object of its own."""
        if shape is None:
            return
        place = None if group is None else self._places.get((group, shape.category_id))
        if place is not None:
            shape = joined_shape(self._shapes[place], shape, self.size)
            self._shapes[place] = shape
            return
        if group is not None:
            self._places[group, shape.category_id] = len(self._shapes)
        self._shapes.append(shape)

    def collected(self) -> ImageShapes:
        """Return the shapes in the order of the file."""
        return ImageShapes(self.size, tuple(self._shapes))


def shape_of(mask: NDArray[np.bool_], category_id: int, x: int = 0, y: int = 0) -> Shape | None:
    """Return the shape of a mask [h, w] whose upper left end is at x, y; None of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    inside = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return Shape(category_id, inside.astype(bool), x + left, y + top)


def joined_shape(one: Shape, other: Shape, size: Size) -> Shape:
    """Return the union of two shapes of an image; all but the pixels is the first one's."""
    mask = np.zeros(size, dtype=bool)
    for shape in (one, other):
        part = shape.cut(mask)
        part |= shape.mask
    whole = shape_of(mask, one.category_id)
    if whole is None:
        raise ValueError("shapes have at least one pixel")
    return replace(one, mask=whole.mask, x=whole.x, y=whole.y)


def checked_size(height: int, width: int, place: str) -> Size:
    """Return a size; FormatError for one that no image has, or that nobody could hold."""
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise FormatError(
            f"{place}: a size of {width} x {height} pixels; it must be above 0 and have "
            f"{MAX_PIXELS} pixels at the most"
        )
    return height, width


def checked_points(values: object, size: Size, place: str) -> NDArray[np.float64]:
    """Return the corners of a polygon, x and y [N, 2], moved into the image [0, W] x [0, H].

    FormatError: they are no numbers, or fewer than three.
    """
    try:
        points = np.array(values, dtype=np.float64).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError):
        points = np.zeros((0, 2))
    if len(points) < 3 or not np.isfinite(points).all():
        raise FormatError(f"{place}: no polygon of three corners or more; draw it again")
    return np.clip(points, 0, [size[1], size[0]])


def filled(points: NDArray[np.number], size: Size, category_id: int) -> Shape | None:
    """Return the shape of a polygon through pixels, x and y [N, 2], its rim included.

    It is drawn within its own box: where the box lies in the image changes nothing.
    """
    low = np.maximum(np.floor(points.min(axis=0)), 0).astype(int)
    w, h = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, [size[1], size[0]]) - low
    if w < 1 or h < 1:
        return None
    image = Image.new("1", (int(w), int(h)))
    corners = [(x, y) for x, y in (points - low).tolist()]
    ImageDraw.Draw(image).polygon(corners, fill=1, outline=1)
    shape = shape_of(np.array(image), category_id, int(low[0]), int(low[1]))
    return None if shape is None else replace(shape, is_polygon=True)


def named(path: Path, images: Iterable[ForeignImage]) -> dict[str, ForeignImage]:
    """Return images by name; FormatError where two have the same one."""
    found: dict[str, ForeignImage] = {}
    for image in images:
        if image.name in found:
            raise FormatError(f"{path}: two images are called {image.name!r}; rename one")
        found[image.name] = image
    if not found:
        raise FormatError(f"{path}: has no labelled image; name another file or folder")
    return found


def vocabulary_of(path: Path, names: Iterable[str], *, name: str = "") -> Vocabulary:
    """Return the classes of these names, with ids 1, 2 and so on; FormatError where they are none.

    Args:
        path: of the set, for messages.
        name: of the vocabulary; empty: the path's.
    """
    spellings: dict[str, str] = {}
    for text in names:
        spellings.setdefault(same_name(text), text)
    try:
        categories = [Category(text, id_) for id_, text in enumerate(spellings.values(), start=1)]
        return Vocabulary(name or path.stem, tuple(categories))
    except VocabularyError as error:
        raise FormatError(f"{path}: {error}") from error


def stack(
    shapes: Sequence[Shape], size: Size, vocabulary: Vocabulary, on_top: OnTop
) -> tuple[PanopticMap, Overlaps]:
    """Return the map of shapes, numbered from 1 in their order, and what they lost to others."""
    ids = np.zeros(size, dtype=np.int32)  # [H, W]
    for place in drawing_order(shapes, on_top):
        inside = shapes[place].cut(ids)
        inside[shapes[place].mask] = place + 1
    segments = [
        Segment(
            id=number,
            category_id=shape.category_id,
            is_thing=vocabulary.by_id(shape.category_id).is_thing,
            score=shape.score,
            source=IMPORTED,
            state="accepted",
            is_crowd=bool(shape.is_crowd),
        )
        for number, shape in enumerate(shapes, start=1)
    ]
    return PanopticMap.of(ids, segments), overlaps_of(shapes, ids)


def drawing_order(shapes: Sequence[Shape], on_top: OnTop) -> list[int]:
    """Return the places of shapes, the one that lies on top last; crowds are below all others."""
    places = range(len(shapes))
    order: dict[OnTop, Callable[[int], float]] = {
        "last": lambda place: place,
        "first": lambda place: -place,
        "small": lambda place: -shapes[place].area,
        "score": lambda place: _certainty(shapes[place]),
    }
    return sorted(places, key=lambda place: (not shapes[place].is_crowd, order[on_top](place)))


def _certainty(shape: Shape) -> float:
    """Return the score; what has none was drawn by a person, and is above all scores."""
    return 2.0 if shape.score is None else shape.score


def overlaps_of(shapes: Sequence[Shape], ids: NDArray[np.int32]) -> Overlaps:
    """Return what shapes lost in the map [H, W] in which each has its place + 1."""
    claims = np.zeros(ids.shape, dtype=np.uint16)
    lost = []
    for number, shape in enumerate(shapes, start=1):
        np.add(shape.cut(claims), shape.mask, out=shape.cut(claims), casting="unsafe")
        lost.append(shape.area - int(np.count_nonzero(shape.cut(ids)[shape.mask] == number)))
    hidden = sum(gone == shape.area for gone, shape in zip(lost, shapes, strict=True))
    return Overlaps(int(np.count_nonzero(claims > 1)), sum(gone > 0 for gone in lost), hidden)
