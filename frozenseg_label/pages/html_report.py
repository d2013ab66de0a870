"""A static page of pictures with their labels: for looking, and for sending to a colleague.

It is a folder: `index.html` (what there is to say, the style and the script), and in `report-files`
for each image the picture and a script with the pixels of its labels, which the page loads when the
image comes into view. The page works from the disk and asks no network for anything.
"""

import json
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

INDEX = "index.html"
FILES = "report-files"  # no name that a user's own folder of images would have

_OURS = b'<meta name="generator" content="frozenseg-label">'  # stands in the first lines of a page
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

    An image that cannot be read, or is not of its labels' size, stops nothing: the page says so and
    shows the labels alone. RunError: the folder holds something else, or cannot be written.

    Args:
        folder: new, empty, or an earlier report, which is replaced.
        images: taken one at a time and not kept.
        order: what the order of `images` is called.
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
    """Take away an earlier report, and refuse a folder that holds anything else."""
    with explained(folder):
        make_folder(folder)
        index, files = folder / INDEX, folder / FILES
        names = {path.name for path in folder.iterdir()}
        strange = {name for name in names if not name.startswith(".")} - {INDEX, FILES}
        if index.exists() and not _is_ours(index):
            strange.add(INDEX)
        if strange:
            raise RunError(
                f"{folder}: holds {plain_text(min(strange))}, which is no part of a report of "
                "ours; name a new folder or an empty one"
            )
        index.unlink(missing_ok=True)  # before its pictures: no page ever shows another's
        mark_folder(folder)
        make_folder(files)
        remove_leftovers(folder)
        for path in filter(is_report_file, files.iterdir()):
            path.unlink()


def _is_ours(index: Path) -> bool:
    with index.open("rb") as file:
        return _OURS in file.read(_FIRST_LINES)


def _part(suffix: str) -> str:
    """The content of the file beside this one whose name goes on with `suffix`."""
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
        row = write_report_image(folder / FILES, number, image, vocabulary, max_side)
        yield (b"\n" if number == 1 else b",\n") + _json(row)
    yield b"\n]}"


def _json(value: JsonValue) -> bytes:
    """JSON that can stand inside a script element: nothing in it ends the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").encode()
