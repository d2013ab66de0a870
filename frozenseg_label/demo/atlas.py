"""The drawings that the demonstration is made of: one picture that travels with the package.

Their style (Twemoji, CC-BY-4.0, see NOTICE) is seen by no training, so that the demonstration
shows something true.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

ATLAS_FILE = Path(__file__).parent / "atlas.png"
CELL = 112  # pixels; a drawing's longer side
COLUMNS = 12
_NAMES_KEY = "names"  # text chunk of the PNG: JSON list, one name per cell, row by row


def demonstration_cutouts(path: Path = ATLAS_FILE) -> dict[str, list[NDArray[np.uint8]]]:
    """Read the shipped drawings: thing name -> RGBA [h, w, 4], cropped to what is visible."""
    with Image.open(path) as picture:
        names: list[str] = json.loads(picture.info[_NAMES_KEY])
        cutouts: dict[str, list[NDArray[np.uint8]]] = {}
        for cell, name in enumerate(names):
            top, left = CELL * (cell // COLUMNS), CELL * (cell % COLUMNS)
            drawing = picture.crop((left, top, left + CELL, top + CELL))
            drawing = drawing.crop(drawing.getchannel("A").getbbox())
            cutouts.setdefault(name, []).append(np.asarray(drawing))
    return cutouts


def write_atlas(
    cutouts: Mapping[str, Sequence[NDArray[np.uint8]]], source: str, path: Path = ATLAS_FILE
) -> None:
    """Put drawings of at most 112 pixels a side into one PNG.

    Args:
        source: where they come from and under which licence; kept in the file.
    """
    drawings = [(name, drawing) for name, drawn in cutouts.items() for drawing in drawn]
    rows = -(-len(drawings) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    for cell, (_, drawing) in enumerate(drawings):
        sheet.paste(Image.fromarray(drawing), (CELL * (cell % COLUMNS), CELL * (cell // COLUMNS)))
    facts = PngImagePlugin.PngInfo()
    facts.add_text(_NAMES_KEY, json.dumps([name for name, _ in drawings]))
    facts.add_text("Source", source)
    sheet.save(path, pnginfo=facts, optimize=True)
