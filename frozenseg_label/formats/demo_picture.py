"""The mark of demonstration images: a text chunk at the start of their PNGs says what they are."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

_KEY, _VALUE = "Source", "frozenseg-label demo"
_MARK = f"tEXt{_KEY}\0{_VALUE}".encode()
_BEGINNING = 128  # bytes of a PNG; the chunk comes directly after the header, at byte 37


def encode_demo_picture(image: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of an image [H, W, 3], with the mark."""
    facts = PngImagePlugin.PngInfo()
    facts.add_text(_KEY, _VALUE)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", pnginfo=facts)
    return file.getvalue()


def is_demo_picture(path: Path) -> bool:
    """Return whether a file has the mark."""
    with suppress(OSError), path.open("rb") as file:
        return _MARK in file.read(_BEGINNING)
    return False
