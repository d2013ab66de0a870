"""Which pieces of a large picture the model sees at native resolution, besides the whole of it.

No heavy imports: the command line reads its choices here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from frozenseg_label.errors import FrozenSegLabelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from frozenseg_label.inference.preprocess import Framing, PreparedImage, Size
    from frozenseg_label.model.settings import InputSize

Tile = int | Literal["auto"]

# A picture that is shrunk further is labelled as a thumbnail: what measures 32 pixels is 8 pixels
# then, two values of a mask. `convnext-large` shrinks a photograph of 12 MP 3.75 times.
MOST_SHRUNK = 4.0
FEWEST_PIXELS = 64  # of a tile's side
_OVERLAP = 8  # by default, tiles overlap by this part of their side


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut into tiles.

    Attributes:
        tile: side of a tile in pixels, and only larger pictures are cut; `auto`: the model's own
            shorter side, and only pictures that are shrunk more than `MOST_SHRUNK` times are cut.
        overlap: pixels that neighbours share at least, up to half of the side; None: an eighth.
    """

    tile: Tile
    overlap: int | None = None

    def __post_init__(self) -> None:
        if self.tile != "auto" and self.tile < FEWEST_PIXELS:
            raise ValueError(f"tile must be auto or at least {FEWEST_PIXELS}, got {self.tile!r}")
        if self.overlap is not None and self.overlap < 0:
            raise ValueError(f"overlap must be 0 or more, got {self.overlap}")
        if self.tile != "auto" and self.overlap is not None and self.overlap > self.tile // 2:
            raise FrozenSegLabelError(
                f"tiles may overlap by half of a tile, {self.tile // 2}, got {self.overlap}"
            )

    def side(self, size: "InputSize") -> int:
        """Return the side of a tile in pixels.

        Args:
            size: of the model's input.
        """
        return size.shortest if self.tile == "auto" else self.tile

    def cuts(self, framing: "Framing", size: "InputSize") -> bool:
        """Return whether a picture is cut; arguments as of `side`."""
        if self.tile == "auto":
            return framing.shrunk > MOST_SHRUNK
        return max(framing.original) > self.side(size)

    def windows(self, original: "Size", size: "InputSize") -> "Iterator[Window]":
        """Yield the tiles of a picture, row by row; arguments as of `side`."""
        side = self.side(size)
        overlap = side // _OVERLAP if self.overlap is None else min(self.overlap, side // 2)
        above = None
        for rows in _spans(original[0], side, overlap):
            before = None
            for columns in _spans(original[1], side, overlap):
                yield Window(rows, columns, original, above, before)
                before = columns
            above = rows


@dataclass(frozen=True)
class Window:
    """The place of one tile in its picture.

    Attributes:
        rows, columns: of the picture.
        original: height and width of the picture.
        above: rows of the tiles above; None in the first row.
        before: columns of the tile to the left; None in the first one.
    """

    rows: slice
    columns: slice
    original: "Size"
    above: slice | None
    before: slice | None

    @property
    def place(self) -> tuple[slice, slice]:
        """Return rows and columns."""
        return self.rows, self.columns

    @property
    def bands(self) -> tuple[int, int]:
        """Return how many rows the tiles above have too, and columns that to the left."""
        top = 0 if self.above is None else self.above.stop - self.rows.start
        left = 0 if self.before is None else self.before.stop - self.columns.start
        return top, left

    @property
    def own(self) -> tuple[slice, slice]:
        """Return its rows and columns that are taken from it: half of each band is an earlier's."""
        top, left = self.bands
        return slice(top // 2, None), slice(left // 2, None)

    @property
    def inner_edges(self) -> tuple[bool, bool, bool, bool]:
        """Return whether the picture goes on above, below, to the left and to the right."""
        height, width = self.original
        return (
            self.rows.start > 0,
            self.rows.stop < height,
            self.columns.start > 0,
            self.columns.stop < width,
        )


def least_size(original: "Size", size: "InputSize") -> "Size | None":
    """Return the height and width at which a picture may be decoded; None: at its own.

    It is twice what the model sees, where that is still a small part of the picture.

    Args:
        original: height and width of the picture.
        size: of the model's input.
    """
    from frozenseg_label.inference.preprocess import resized_size

    height, width = resized_size(original, size.shortest, size.longest)
    return (2 * height, 2 * width) if max(original) > MOST_SHRUNK * max(height, width) else None


def prepare(
    pixels: "NDArray[np.uint8]",
    size: "InputSize",
    tiling: Tiling | None,
    *,
    original: "Size | None" = None,
    picture: "Callable[[], NDArray[np.uint8]] | None" = None,
) -> "PreparedImage":
    """Return a picture as the model takes it, and with its own pixels where it is cut into tiles.

    Args:
        pixels: [h, w, 3] RGB.
        size: of the model's input.
        tiling: None: no picture is cut.
        original: height and width of the picture; None: those of `pixels`.
        picture: returns the picture itself, [H, W, 3] RGB; None: it is `pixels`.
    """
    from dataclasses import replace

    from frozenseg_label.inference.preprocess import prepare_image

    image = prepare_image(pixels, size.shortest, size.longest, size.divisor, original)
    cut = tiling is not None and tiling.cuts(image.framing, size)
    return replace(image, picture=picture or (lambda: pixels)) if cut else image


def prepare_tile(pixels: "NDArray[np.uint8]", size: "InputSize") -> "PreparedImage":
    """Return a tile as the model takes it: a picture of its own, and not shrunk if the model can.

    Args:
        pixels: [H, W, 3] RGB.
        size: of the model's input; no side of it gets longer than its longest.
    """
    from frozenseg_label.inference.preprocess import prepare_image

    shortest = min(max(size.shortest, min(pixels.shape[:2])), size.longest)
    return prepare_image(pixels, shortest, size.longest, size.divisor)


def _spans(length: int, side: int, overlap: int) -> Iterator[slice]:
    """Cut a length into spans of one side that overlap evenly, at least by `overlap`."""
    if length <= side:
        yield slice(0, length)
        return
    steps = -(-(length - side) // (side - overlap))
    for step in range(steps + 1):
        start = (length - side) * step // steps
        yield slice(start, start + side)
