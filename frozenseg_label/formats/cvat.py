"""CVAT's XML 1.1 "for images": a mask for each segment, and the classes with their colours.

Run lengths go row by row through the segment's box and begin outside, as CVAT writes them.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import FormatError
from frozenseg_label.files import atomic_stream
from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.panoptic import HUMAN, IMPORTED, Segment
from frozenseg_label.vocabulary import Vocabulary

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
    pixels = np.concatenate(([False], mask.ravel()))  # [1 + h * w]
    starts = np.flatnonzero(pixels[1:] != pixels[:-1])
    runs: list[int] = np.diff(starts, prepend=0, append=mask.size).tolist()
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
