"""Writes a static page of pictures with their labels, to look at or to send to a colleague.

The page is a folder: `index.html` (text, tables, style and script) and `report-files`, which has
for each image the picture and a script with the pixels of its labels. The page loads them when the
image comes into view. It works from the disk and needs no network.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from pydantic import JsonValue

from frozenseg_label.errors import RunError
from frozenseg_label.files import (
    atomic_stream,
    explained,
    make_folder,
    mark_folder,
    remove_leftovers,
)
from frozenseg_label.pages.report_image import ReportImage, is_report_file, write_report_image
from frozenseg_label.pages.report_text import ReportTable, plain_text, table_html
from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)

INDEX = "index.html"
FILES = "report-files"  # a name that no user's own folder of images would have

_OURS = b'<meta name="generator" content="frozenseg-label">'  # in the first lines of a page
_FIRST_LINES = 1024  # bytes


def write_html_report(
    folder: Path,
    title: str,
    vocabulary: Vocabulary,
    images: Iterable[ReportImage],
    tables: Sequence[ReportTable] = (),
    order: str = "as given",
    max_side: int = 1280,
) -> Path:
    """Write the page and return the path of its `index.html`; the same input gives the same bytes.

    For an image that cannot be read, or does not have its labels' size, the page says so and shows
    only the labels. RunError: the folder has other files in it, or cannot be written.

    Args:
        folder: new, empty, or an earlier report, which is replaced.
        images: taken one at a time and not kept.
        order: name of the order of `images`.
        max_side: pictures and labels are scaled down to this many pixels.
    """
    _clear(folder)
    fill = {
        "title": escape(plain_text(title)),
        "tables": "".join(map(table_html, tables)),
        "style": _part(".css"),
        "layers": _part("_layers.js"),
        "script": _part(".js"),
    }
    # Odd pieces are the names of what comes in their place: one pass, so nothing is filled twice.
    pieces = re.split(r"\{\{(\w+)\}\}", _part(".html"))
    with atomic_stream(folder / INDEX) as page:
        for place, piece in enumerate(pieces):
            if piece == "data" and place % 2:
                for data in _data(folder, vocabulary, images, order, max_side):
                    page.write(data)
            else:
                page.write((fill[piece] if place % 2 else piece).encode())
    return folder / INDEX


def _clear(folder: Path) -> None:
    """Remove an earlier report, and refuse a folder that has other files in it."""
    with explained(folder):
        make_folder(folder)
        index, files = folder / INDEX, folder / FILES
        names = {path.name for path in folder.iterdir()}
        strange = {name for name in names if not name.startswith(".")} - {INDEX, FILES}
        if index.exists() and not _is_ours(index):
            strange.add(INDEX)
        if strange:
            raise RunError(
                f"{folder}: has {plain_text(min(strange))} in it, which is no part of our reports; "
                "choose a new folder or an empty one"
            )
        index.unlink(missing_ok=True)  # before its pictures: a page never shows those of another
        mark_folder(folder)
        make_folder(files)
        remove_leftovers(folder)
        for path in filter(is_report_file, files.iterdir()):
            path.unlink()


def _is_ours(index: Path) -> bool:
    with index.open("rb") as file:
        return _OURS in file.read(_FIRST_LINES)


def _part(suffix: str) -> str:
    """Return the content of the file beside this one with the same name and `suffix`."""
    return Path(__file__).with_name(f"{Path(__file__).stem}{suffix}").read_text("utf-8")


def _data(
    folder: Path, vocabulary: Vocabulary, images: Iterable[ReportImage], order: str, max_side: int
) -> Iterator[bytes]:
    """Write the files of each image, and yield the JSON of the page's data, piece by piece."""
    classes: list[JsonValue] = [
        {"name": plain_text(category.name), "color": list(category.color)}
        for category in vocabulary.categories
    ]
    yield b'{"order":' + _json(plain_text(order)) + b',"classes":' + _json(classes)
    yield b',"images":['
    for number, image in enumerate(images, start=1):
        log.debug("writing %s", image.name)
        row = write_report_image(folder / FILES, number, image, vocabulary, max_side)
        yield (b"\n" if number == 1 else b",\n") + _json(row)
    yield b"\n]}"


def _json(value: JsonValue) -> bytes:
    """Return JSON for a script element: nothing in it ends the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").encode()
