"""Icons of npm's open sets, drawn as cutouts: RGBA, uint8 [h, w, 4], not premultiplied."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

ALLOWED_LICENCES = (
    "Apache-2.0",
    "MIT",
    "CC-BY-3.0",
    "CC-BY-4.0",
)  # no share-alike: openmoji, emojione-v1 stay out
SIDE = 112  # pixels of a cutout's longer side
OVERSAMPLING = 2  # drawn larger, cropped, then shrunk: crisp edges at the cutout's own size


def read_icons(folder: Path) -> dict[str, Any]:
    """Read an icon set, as its `icons.json` has it; ValueError where the licence forbids it."""
    info = json.loads((folder / "info.json").read_text())
    check_licence(folder, info["license"]["spdx"])
    icons: dict[str, Any] = json.loads((folder / "icons.json").read_text())
    return icons


def check_licence(folder: Path, licence: str) -> None:
    """Raise a ValueError where a licence does not allow to ship, or asks to share alike."""
    if licence not in ALLOWED_LICENCES:
        raise ValueError(f"{folder.name}: licence {licence} is not one of {ALLOWED_LICENCES}")


def draw_icon(icons: dict[str, Any], name: str) -> NDArray[np.uint8]:
    """Draw one icon, crop it to its visible part and shrink it to the side of a cutout."""
    icon = icons["icons"][name]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    left, top = icon.get("left", 0), icon.get("top", 0)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )
    scale = OVERSAMPLING * SIDE / max(width, height)
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=round(width * scale), height=round(height * scale)
    )
    return crop(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


def crop(picture: Image.Image) -> NDArray[np.uint8]:
    """Crop a drawing to its visible part and shrink it to the side of a cutout."""
    box = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
    picture = picture.crop(box)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)
