"""One image on its way to another tool: what each format's writer is given."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from frozenseg_label.panoptic import ImageState, PanopticMap, Segment


@dataclass(frozen=True)
class Place:
    """Where the files of an image go in an export.

    Attributes:
        name: of the image in the labels, a relative path; class PNGs tell it without suffix.
        stem: the name without its suffix, or with it where another image has that stem already.
        suffix: of the picture, dot included.
        part: `train`, `val` or `test`; empty where the images are not split.
    """

    name: str
    stem: str
    suffix: str
    part: str = ""

    @property
    def path(self) -> str:
        """Return the stem below the folder of its part."""
        return f"{self.part}/{self.stem}" if self.part else self.stem

    @property
    def file_name(self) -> str:
        """Return the path of the picture below the folder of all pictures."""
        return self.name if self.name.endswith(self.suffix) else self.name + self.suffix


@dataclass(frozen=True)
class ExportImage:
    """An image and all that is to be said of it.

    Attributes:
        place: its name, and where its files go.
        number: 1, 2, ... in the order of the export.
        panoptic_map: its segments, those left out that nobody asked for.
        state: how far a person has looked at it.
        picture: path of the picture from the export folder; it may lead out of it. None: not known.
        source: the picture on this machine; None: not known.
    """

    place: Place
    number: int
    panoptic_map: PanopticMap
    state: ImageState
    picture: str | None = None
    source: Path | None = None

    @property
    def height(self) -> int:
        """Return the height in pixels."""
        return int(self.panoptic_map.ids.shape[0])

    @property
    def width(self) -> int:
        """Return the width in pixels."""
        return int(self.panoptic_map.ids.shape[1])

    def boxed_mask(self, segment: Segment) -> NDArray[np.bool_]:
        """Return the mask of a segment within its box [h, w]."""
        x, y, w, h = segment.bbox
        mask: NDArray[np.bool_] = self.panoptic_map.ids[y : y + h, x : x + w] == segment.id
        return mask

    def coco_row(self) -> dict[str, JsonValue]:
        """Return its row among COCO's `images`."""
        return {
            "id": self.number,
            "file_name": self.place.file_name,
            "width": self.width,
            "height": self.height,
        }
