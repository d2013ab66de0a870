"""One image of a report: figures and notes, and the files that show the picture and its labels.

Picture and labels are scaled down, so that a report is small enough to send to a colleague.
"""

import base64
import json
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from frozenseg_label.addresses import Address
from frozenseg_label.decoding import decode_image
from frozenseg_label.errors import ImageError
from frozenseg_label.files import explained
from frozenseg_label.formats.overlay import (
    Size,
    encode_picture,
    fitted_size,
    inner_spots,
    segment_places,
)
from frozenseg_label.images import ImageRecord
from frozenseg_label.pages.report_text import cell_text, plain_text
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class Figure:
    """A number about one image.

    Attributes:
        name: figures of one name can be compared between images.
        value: as it is shown; None or NaN where there is none.
        digits: shown after the point.
        worst: which values come first in the order "worst first"; None: there is no such order.
    """

    name: str
    value: float | None
    digits: int = 1
    worst: Literal["lowest", "highest"] | None = None


@dataclass(frozen=True)
class ReportLayer:
    """One set of labels of an image.

    Attributes:
        name: as "predicted"; layers of one name are shown and hidden together.
        labels: with category ids of the report's vocabulary.
    """

    name: str
    labels: PanopticMap


@dataclass(frozen=True)
class ReportImage:
    """One image of the report.

    Attributes:
        name: its identity in labels (`ImageRecord.relative`).
        path: of the original file, or its address; None: there is none, labels are on grey.
        layers: at least one, all of the image's size.
        figures: numbers about it.
        notes: sentences below the picture.
        state: shown beside the name; may be empty.
    """

    name: str
    path: Path | Address | None
    layers: tuple[ReportLayer, ...]
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    state: str = ""


def existing(picture: Path | None) -> Path | None:
    """Return the path of a picture if it is a file, else None."""
    return picture if picture is not None and picture.is_file() else None


def write_report_image(
    folder: Path, number: int, image: ReportImage, vocabulary: Vocabulary, max_side: int
) -> JsonValue:
    """Write `00001.jpg`, the picture, and `00001.js`, its layers' pixels; return the page's row.

    Args:
        folder: of these files; the row names them relative to the folder above.
        number: of the image, from 1.
    """
    sizes = {layer.labels.ids.shape for layer in image.layers}
    if len(sizes) != 1:
        raise ValueError(f"{image.name}: layers must be there and of one size, got {sorted(sizes)}")
    full: Size = image.layers[0].labels.ids.shape
    size = fitted_size(full, max_side)
    picture, trouble = _encoded_picture(image, full, size)
    stem = f"{number:05d}"
    if picture is not None:
        _write(folder / f"{stem}.jpg", picture)
    places = [segment_places(layer.labels, size) for layer in image.layers]
    pixels = [base64.b64encode(encode_places(layer)).decode() for layer in places]
    # A script and no JSON: a page that was opened from a file may load scripts, but fetch nothing.
    _write(folder / f"{stem}.js", f"receivePixels({number}, {json.dumps(pixels)});\n".encode())
    return {
        "name": plain_text(image.name),
        "state": plain_text(image.state),
        "height": size[0],
        "width": size[1],
        "picture": f"{folder.name}/{stem}.jpg" if picture is not None else None,
        "pixels": f"{folder.name}/{stem}.js",
        "figures": [_figure_row(figure) for figure in image.figures],
        "notes": [plain_text(note) for note in (*trouble, *image.notes)],
        "layers": [
            {"name": plain_text(layer.name), "segments": _segment_rows(layer, here, vocabulary)}
            for layer, here in zip(image.layers, places, strict=True)
        ],
    }


def is_report_file(path: Path) -> bool:
    """Return whether `write_report_image` writes files of this name."""
    return re.fullmatch(r"\d{5,}\.(jpg|js)", path.name) is not None


def _encoded_picture(image: ReportImage, full: Size, size: Size) -> tuple[bytes | None, list[str]]:
    """Return the JPEG; or None, and a sentence that says why if there should be one."""
    if image.path is None:
        return None, []
    try:
        pixels = decode_image(ImageRecord(image.path, image.name, size=0, mtime_ns=0))  # [H, W, 3]
    except ImageError as error:
        # A report is sent to other people: it names no folder of this computer.
        return None, [f"{error}".replace(f"{image.path}", image.name)]
    if pixels.shape[:2] != full:
        found, labelled = (f"{width} x {height}" for height, width in (pixels.shape[:2], full))
        return None, [f"{image.name}: is {found} pixels now, but its labels are {labelled}"]
    return encode_picture(pixels, size), []


def _figure_row(figure: Figure) -> JsonValue:
    value = _number(figure.value)
    return {
        "name": plain_text(figure.name),
        "value": value,
        "text": cell_text(value, figure.digits),
        "worst": figure.worst,
    }


def _segment_rows(
    layer: ReportLayer, places: NDArray[np.unsignedinteger], vocabulary: Vocabulary
) -> list[JsonValue]:
    """Return what the page shows of each segment; classes are places in the vocabulary."""
    segments = layer.labels.segments
    spots = inner_spots(places, len(segments))
    return [
        {
            "class": vocabulary.index_of(segment.category_id),
            "score": _number(segment.score),
            "margin": _number(segment.margin),
            "second": None if segment.second is None else vocabulary.index_of(segment.second),
            "state": segment.state,
            "note": plain_text(segment.note),
            "share": round(segment.area / layer.labels.ids.size, 4),
            "spot": None if spot is None else list(spot),
        }
        for segment, spot in zip(segments, spots, strict=True)
    ]


def _number(value: float | None) -> float | None:
    """Return a number for JSON, which has neither infinity nor NaN."""
    return round(float(value), 4) if value is not None and math.isfinite(value) else None


def _write(path: Path, data: bytes) -> None:
    """Write a file; the page that refers to it is written later."""
    with explained(path):
        path.write_bytes(data)


def encode_places(places: NDArray[np.unsignedinteger]) -> bytes:
    """Return segment places [h, w] in zlib: little-endian rows, each XOR the one above.

    Most pixels belong to the same segment as the one above, so most of the compressed values are 0.
    Not PNG: a page that was opened from a file may not read the pixels of its images (the browser
    takes them for another site's), and a palette ends at 256 segments.
    """
    changes = places.copy()
    changes[1:] ^= places[:-1]
    return zlib.compress(changes.astype(changes.dtype.newbyteorder("<")).tobytes(), 9)
