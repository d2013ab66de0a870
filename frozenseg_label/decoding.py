"""From an image file to the pixels that people see: check its header, read it, decode it."""

import io
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from frozenseg_label.addresses import Address
from frozenseg_label.errors import ImageError, enough_memory
from frozenseg_label.image_formats import geo_remedy
from frozenseg_label.images import ImageRecord
from frozenseg_label.pixels import DAMAGED, orientation, upright_pixels

MOST_BYTES_PER_PIXEL = 8  # of a picture with four channels of 16 bits, not packed
Size = tuple[int, int]  # height, width

_guard_lock = threading.Lock()


@dataclass(frozen=True)
class ImageFile:
    """The content of an image file, not decoded yet.

    Attributes:
        content: all its bytes.
        pixels: width x height, as its header says.
    """

    content: bytes
    pixels: int


@dataclass(frozen=True)
class DecodedImage:
    """A picture as people see it.

    Attributes:
        pixels: uint8 [h, w, 3] RGB, by the rules of `upright_pixels`.
        size: height and width of the picture in the file; `pixels` may be smaller.
        is_scaled: whether grey levels of more than 8 bits were scaled by their own range.
    """

    pixels: NDArray[np.uint8]
    size: Size
    is_scaled: bool


def read_image_file(record: ImageRecord, max_pixels: int | None = None) -> ImageFile:
    """Read an image file; ImageError if it is no image, or too large.

    Its header is checked first: a pipe, a film or a huge picture is not read.

    Args:
        max_pixels: larger images (width x height) are refused; None takes any.
    """
    if isinstance(record.path, Address):
        return _read_at_address(record.path, record.size, max_pixels)
    with _refusing(record.path):
        status = record.path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{record.path}: a folder that cannot be listed; make it readable")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{record.path}: no regular file (a pipe, a device); remove it")
        with record.path.open("rb") as file, enough_memory(record.path, f"{status.st_size} bytes"):
            pixels = _checked_pixels(_open_header(file), record.path, max_pixels)
            file.seek(0)
            return ImageFile(file.read(), pixels)


def _read_at_address(address: Address, size: int, max_pixels: int | None) -> ImageFile:
    """Read an image file at an address, in one request.

    Args:
        size: that it should have, bytes; a file that no picture with so many pixels fills is not
            read.
    """
    if max_pixels is not None and size > MOST_BYTES_PER_PIXEL * max_pixels:
        raise ImageError(
            f"{address}: {size} bytes are more than pictures of {max_pixels} pixels have; raise "
            "--max-pixels if it is a picture"
        )
    with enough_memory(address, f"{size} bytes"):
        content = address.read_bytes()
    with _refusing(address):
        pixels = _checked_pixels(_open_header(io.BytesIO(content)), address, max_pixels)
    return ImageFile(content, pixels)


def decode_image(record: ImageRecord, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Return the picture as RGB, uint8 [H, W, 3], by the rules of `upright_pixels`.

    Args:
        max_pixels: larger images (width x height) are refused undecoded; None takes any.
    """
    return decode_file(record, read_image_file(record, max_pixels)).pixels


def decode_file(
    record: ImageRecord, file: ImageFile, least: Callable[[Size], Size | None] | None = None
) -> DecodedImage:
    """Return the picture in a file that was read.

    Args:
        least: is told height and width of a JPEG, and returns which are enough; it is decoded at a
            half, a quarter or an eighth of its size if that is not smaller, in a fraction of the
            memory and the time. None: at its own size.
    """
    with _refusing(record.path):
        image = _open_header(io.BytesIO(file.content))
        is_scaled, size = image.mode.startswith(("I", "F")), None
        # Where the others say how they are turned may come last in the file.
        if least is not None and image.format in ("JPEG", "MPO"):
            size = _upright_size(image)
            if enough := least(size):
                image.draft(None, enough if orientation(image) >= 5 else (enough[1], enough[0]))
        with enough_memory(record.path, f"{image.width} x {image.height} pixels"):
            pixels = upright_pixels(image)
    return DecodedImage(pixels, size or pixels.shape[:2], is_scaled)


def read_image_size(content: bytes, path: Path | Address) -> Size:
    """Return height and width of the picture as people see it, from the file's header.

    Args:
        path: of the file, for messages.
    """
    with _refusing(path):
        return _upright_size(_open_header(io.BytesIO(content)))


def _upright_size(image: Image.Image) -> Size:
    """Return height and width as people see the picture."""
    turned = orientation(image) >= 5  # those exchange height and width
    return image.size if turned else (image.height, image.width)


@contextmanager
def _refusing(path: Path | Address) -> Iterator[None]:
    """Turn every error that a damaged file causes in the block into an ImageError."""
    try:
        yield
    except DAMAGED as error:
        unknown = isinstance(error, UnidentifiedImageError)  # its message has only an address
        reason = "of no known format" if unknown else " ".join(f"{error}".split())
        message = f"cannot be read as an image ({reason or type(error).__name__})"
        remedy = f"replace or remove the file{geo_remedy(path.suffix)}"
        raise ImageError(f"{path}: {message}; {remedy}") from None


def _checked_pixels(image: Image.Image, path: Path | Address, max_pixels: int | None) -> int:
    """Return width x height of an image; ImageError where that is too much."""
    width, height = image.size
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(
            f"{path}: {width} x {height} pixels are more than the {max_pixels} allowed; raise "
            "--max-pixels or scale the image down"
        )
    return width * height


def _open_header(file: BinaryIO) -> Image.Image:
    """Return Pillow's image, not decoded, of any size: `max_pixels` is the guard here."""
    with _guard_lock:
        guard, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = guard
