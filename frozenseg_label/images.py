"""Images on disk: finds them, and decodes each to the pixels that people see."""

import io
import logging
import os
import stat
import struct
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from frozenseg_label.errors import ImageError
from frozenseg_label.files import MARKER

# Registered with Pillow, but no still pictures: films, drawings that need another program, and
# containers that Pillow only recognises.
NOT_STILL = {"BUFR", "EPS", "FLI", "GRIB", "HDF5", "MPEG", "WMF"}
UNREADABLE = frozenset(  # pictures of telephones and cameras that Pillow does not read
    {".heic", ".heif", ".avif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}
)
PAPER = (255, 255, 255)  # what shows through transparent pixels, as in most viewers

# Pillow's plugins let all of these through on damaged files.
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    ArithmeticError, MemoryError, RuntimeError, struct.error, Image.DecompressionBombError,
)  # fmt: skip
_guard_lock = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageRecord:
    """One image file, not decoded yet.

    Attributes:
        path: where the file lies.
        relative: its name in labels: the path below the given folder (of several folders: below
            their common parent), with its suffix, and with `/` on every system.
        size: bytes; a file with the same size and `mtime_ns` counts as unchanged.
        mtime_ns: time of the last change, in nanoseconds.
    """

    path: Path
    relative: str
    size: int
    mtime_ns: int


def find_images(sources: Sequence[Path]) -> list[ImageRecord]:
    """Return all images in these files and folders (and the folders below), sorted by `relative`.

    Hidden files and folders, and those that this program wrote, are left out; a file that is given
    by its own name is taken whatever its suffix. Each file is returned only once.
    """
    sources = [Path(os.path.abspath(source)) for source in sources]  # noqa: PTH100 (keeps links)
    roots: list[Path] = []
    paths: list[Path] = []
    for source in sources:
        if source.is_dir():
            if is_ours(source):
                raise ImageError(f"{source}: was written by this program; give a folder of images")
            roots.append(source)
            paths.extend(_walk(source))
        elif source.exists():
            roots.append(source.parent)
            paths.append(source)
        else:
            raise ImageError(f"{source}: there is no such file or folder; check the path")
    if not paths:
        places = ", ".join(map(str, sources)) or "no folder given"
        raise ImageError(f"0 images found ({places}); give a folder of JPEG, PNG, ... files")
    log.debug("%d image files in %s", len(paths), ", ".join(map(str, sources)))
    try:
        root = Path(os.path.commonpath(roots))
    except ValueError as error:
        raise ImageError(f"{error} (of the given folders); label them one by one") from error
    return sorted((_record(path, root) for path in set(paths)), key=lambda record: record.relative)


def is_ours(folder: Path) -> bool:
    """Return whether this program wrote the folder: its pictures are no photographs."""
    return (folder / MARKER).is_file() or is_run_folder(folder)


def is_run_folder(folder: Path) -> bool:
    """Return whether labels were written there (DESIGN.md, section 3)."""
    return (folder / "run.json").is_file() and (folder / "panoptic").is_dir()


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of the still image formats that Pillow reads."""
    registered = Image.registered_extensions()  # loads Pillow's plugins
    readable = (set(Image.OPEN) | {"MPO"}) - NOT_STILL  # MPO is opened by way of JPEG
    return frozenset(suffix for suffix, kind in registered.items() if kind in readable)


def read_image_file(record: ImageRecord, max_pixels: int | None = None) -> bytes:
    """Return the content of an image file; ImageError if it is no image, or too large.

    Its header is checked first: a pipe, a film or a huge picture is not read.

    Args:
        max_pixels: larger images (width x height) are refused; None takes any.
    """
    with _refusing(record.path):
        if not stat.S_ISREG(record.path.stat().st_mode):
            if record.path.is_dir():
                raise ImageError(f"{record.path}: a folder that cannot be listed; make it readable")
            raise ImageError(f"{record.path}: no regular file (a pipe, a device); remove it")
        with record.path.open("rb") as file:
            _refuse_large(_open_header(file), record.path, max_pixels)
            file.seek(0)
            return file.read()


def decode_image(
    record: ImageRecord, max_pixels: int | None = None, content: bytes | None = None
) -> NDArray[np.uint8]:
    """Return the picture as RGB, uint8 [H, W, 3], turned as its EXIF orientation says.

    Of several frames the first is taken; transparent pixels become white; grey levels of more than
    8 bits are scaled down, not cut off. Colour profiles are not applied, as in the training of CLIP
    and SAM.

    Args:
        max_pixels: larger images (width x height) are refused undecoded; None takes any.
        content: of the file, if it has been read already.
    """
    if content is None:
        content = read_image_file(record, max_pixels)
    with _refusing(record.path):
        image = _open_header(io.BytesIO(content))
        _refuse_large(image, record.path, max_pixels)
        image.load()  # before the orientation is asked for: TIFF files turn themselves here
        return np.array(_upright(_to_rgb(image), _orientation(image)))  # [H, W, 3]


def read_image_size(content: bytes, path: Path) -> tuple[int, int]:
    """Return height and width of the picture as people see it, from the file's header.

    Args:
        path: of the file, for messages.
    """
    try:
        image = _open_header(io.BytesIO(content))
        width, height = image.size
        turned = _orientation(image) >= 5  # those exchange height and width
    except _DAMAGED as error:
        raise ImageError(f"{path}: no image, or damaged ({error})") from error
    return (width, height) if turned else (height, width)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the image files below a folder; linked folders last, and none twice, so circles end."""
    pending, links, seen = deque([folder]), deque[Path](), set[str]()
    passed_over = Counter[str]()
    while pending or links:
        here = pending.popleft() if pending else links.popleft()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        entries = _entries(here)
        if entries is None:
            yield here  # reported as an image that cannot be read, and the run goes on
        for entry in entries or ():
            path, is_link = Path(entry.path), entry.is_symlink()
            if path.is_dir() if is_link else entry.is_dir():
                if is_ours(path):
                    log.debug("%s: left out, this program wrote it", path)
                else:
                    (links if is_link else pending).append(path)
            elif path.suffix.lower() in image_suffixes():
                yield path  # a broken link or a pipe is reported as an image that cannot be read
            elif path.suffix.lower() in UNREADABLE:
                passed_over[path.suffix.lower()] += 1
    for suffix, count in sorted(passed_over.items()):
        log.warning(
            "%s: %d %s files are pictures that cannot be read here, and were left out; convert "
            "them to JPEG or PNG",
            folder,
            count,
            suffix,
        )


def _entries(folder: Path) -> list[os.DirEntry[str]] | None:
    """Return the visible entries of a folder, by name; None if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return None
    return sorted(visible, key=lambda entry: entry.name)


def _record(path: Path, root: Path) -> ImageRecord:
    try:
        status = path.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
    except OSError:  # a broken link, or gone since it was found
        size = mtime_ns = 0
    return ImageRecord(path, path.relative_to(root).as_posix(), size, mtime_ns)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn every error that a damaged file causes in the block into an ImageError."""
    try:
        yield
    except _DAMAGED as error:
        unknown = isinstance(error, UnidentifiedImageError)  # its message has only an address
        reason = "of no known format" if unknown else " ".join(f"{error}".split())
        reason = reason or type(error).__name__
    else:
        return
    # Outside the handler: an error that somebody keeps must not keep the picture in memory.
    message = f"cannot be read as an image ({reason}); replace or remove the file"
    raise ImageError(f"{path}: {message}")


def _refuse_large(image: Image.Image, path: Path, max_pixels: int | None) -> None:
    width, height = image.size
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(
            f"{path}: {width} x {height} pixels are more than the {max_pixels} allowed; raise "
            "--max-pixels or scale the image down"
        )


def _open_header(file: BinaryIO) -> Image.Image:
    """Return Pillow's image, not decoded, of any size: `max_pixels` is the guard here."""
    with _guard_lock:
        guard, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = guard


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_grey(np.asarray(image) / 257.0)  # 65535 -> 255
    if image.mode in ("I", "F"):  # no known range: stretch from the darkest to the brightest
        levels = np.nan_to_num(np.asarray(image, dtype=np.float64))
        span = float(np.ptp(levels)) or 1.0
        return _from_grey((levels - levels.min()) * (255.0 / span))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, PAPER)
        paper.alpha_composite(image.convert("RGBA"))
        image = paper
    return image.convert("RGB")


def _from_grey(levels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.rint(levels).astype(np.uint8)).convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; 1 if none can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:  # the picture itself is fine
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)
