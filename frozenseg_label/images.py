"""Images on disk or at addresses: finds them, and decodes each to the pixels that people see."""

import io
import logging
import os
import stat
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from frozenseg_label.addresses import Address, common_address, files_at, files_below
from frozenseg_label.errors import ImageError, enough_memory
from frozenseg_label.files import MARKER
from frozenseg_label.image_formats import UNREADABLE, geo_remedy, image_suffixes
from frozenseg_label.pixels import DAMAGED, orientation, upright_pixels

MOST_BYTES_PER_PIXEL = 8  # of a picture with four channels of 16 bits, not packed
_guard_lock = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageRecord:
    """One image file, not decoded yet.

    Attributes:
        path: where the file lies, on a disk or at an address.
        relative: its name in labels: the path below the given folder (of several folders: below
            their common parent), with its suffix, and with `/` on every system.
        size: bytes; a file with the same size, `mtime_ns` and `etag` counts as unchanged.
        mtime_ns: time of the last change, in nanoseconds; 0 at an address.
        etag: what a server says that changes with the content; None on a disk.
    """

    path: Path | Address
    relative: str
    size: int
    mtime_ns: int
    etag: str | None = None


def find_images(
    sources: Sequence[Path | Address], *, missing_ok: bool = False
) -> list[ImageRecord]:
    """Return all images in these files and folders (and the folders below), sorted by `relative`.

    Hidden files and folders, and those that this program wrote, are left out; a file that is given
    by its own name is taken whatever its suffix. Each file is returned only once. ImageError where
    a source is missing, unless `missing_ok`: then it is returned, and fails when it is read.
    """
    addresses = [source for source in sources if isinstance(source, Address)]
    given = [source for source in sources if isinstance(source, Path)]
    if addresses and given:
        raise ImageError(f"{given[0]} and {addresses[0]} have no common folder; label them apart")
    records = _at_addresses(addresses, missing_ok) if addresses else _on_disk(given, missing_ok)
    if not records:
        places = ", ".join(map(str, sources)) or "no folder given"
        raise ImageError(f"0 images found ({places}); give a folder of JPEG, PNG, ... files")
    log.debug("%d image files in %s", len(records), ", ".join(map(str, sources)))
    return sorted(records, key=lambda record: record.relative)


def _on_disk(sources: Sequence[Path], missing_ok: bool) -> list[ImageRecord]:
    sources = [Path(os.path.abspath(source)) for source in sources]  # noqa: PTH100 (keeps links)
    roots, paths = list[Path](), list[Path]()
    for source in sources:
        if os.path.isdir(source):  # noqa: PTH112 - no error where it lies in a locked folder
            if is_ours(source):
                raise ImageError(f"{source}: was written by this program; give a folder of images")
            roots.append(source)
            paths.extend(_walk(source))
        elif missing_ok or os.path.exists(source):  # noqa: PTH110 - likewise
            roots.append(source.parent)
            paths.append(source)
        else:
            raise ImageError(f"{source}: there is no such file or folder; check the path")
    if not paths:
        return []
    try:
        root = Path(os.path.commonpath(roots))
    except ValueError as error:
        raise ImageError(f"{error} (of the given folders); label them one by one") from error
    return [_record(path, root) for path in set(paths)]


def _at_addresses(sources: Sequence[Address], missing_ok: bool) -> list[ImageRecord]:
    """Return the images at addresses; an address that ends like an image is taken for a file."""
    files = [source for source in sources if _is_image_name(source.url)]
    folders = [source for source in sources if not _is_image_name(source.url)]
    found = {file.address: file for file in files_at(files, missing_ok)}
    for folder in folders:
        below = files_below(folder, _is_image_name, _is_ours_there)
        found.update((file.address, file) for file in below)
    root = common_address([*folders, *(file.parent for file in files)])
    return [
        ImageRecord(file.address, root.name_of(file.address.url), file.size, 0, file.etag)
        for file in found.values()
    ]


def _is_image_name(name: str) -> bool:
    return Path(name).suffix.lower() in image_suffixes()


def _is_ours_there(folders: Collection[str], files: Collection[str]) -> bool:
    """Return for a folder at an address what `is_ours` does for one on a disk."""
    return MARKER in files or ("run.json" in files and "panoptic" in folders)


def is_ours(folder: Path) -> bool:
    """Return whether this program wrote the folder: its pictures are no photographs."""
    with suppress(OSError):  # a locked folder tells nothing
        return (folder / MARKER).is_file() or is_run_folder(folder)
    return False


def is_run_folder(folder: Path) -> bool:
    """Return whether labels were written there (DESIGN.md, section 3)."""
    return (folder / "run.json").is_file() and (folder / "panoptic").is_dir()


def read_image_file(record: ImageRecord, max_pixels: int | None = None) -> bytes:
    """Return the content of an image file; ImageError if it is no image, or too large.

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
            _refuse_large(_open_header(file), record.path, max_pixels)
            file.seek(0)
            return file.read()


def _read_at_address(address: Address, size: int, max_pixels: int | None) -> bytes:
    """Return the content of an image file at an address, in one request.

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
        _refuse_large(_open_header(io.BytesIO(content)), address, max_pixels)
    return content


def decode_image(
    record: ImageRecord,
    max_pixels: int | None = None,
    content: bytes | None = None,
    least: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Return the picture as RGB, uint8 [H, W, 3], by the rules of `upright_pixels`.

    Args:
        max_pixels: larger images (width x height) are refused undecoded; None takes any.
        content: of the file, if it has been read already.
        least: height and width that are enough; a JPEG is then decoded at a half, a quarter or an
            eighth of its size if that is not smaller, in a fraction of the memory and the time.
    """
    if content is None:
        content = read_image_file(record, max_pixels)
    with _refusing(record.path):
        image = _open_header(io.BytesIO(content))
        _refuse_large(image, record.path, max_pixels)
        if least is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, least if orientation(image) >= 5 else (least[1], least[0]))
        with enough_memory(record.path, f"{image.width} x {image.height} pixels"):
            return upright_pixels(image)


def has_deep_grey(content: bytes) -> bool:
    """Return whether a picture that can be read has grey levels that `decode_image` scales."""
    return _open_header(io.BytesIO(content)).mode.startswith(("I", "F"))


def read_image_size(content: bytes, path: Path | Address) -> tuple[int, int]:
    """Return height and width of the picture as people see it, from the file's header.

    Args:
        path: of the file, for messages.
    """
    with _refusing(path):
        image = _open_header(io.BytesIO(content))
        turned = orientation(image) >= 5  # those exchange height and width
        return image.size if turned else (image.height, image.width)


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
            if os.path.isdir(path) if is_link else entry.is_dir():  # noqa: PTH112
                if is_ours(path):
                    log.debug("%s: left out, this program wrote it", path)
                else:
                    (links if is_link else pending).append(path)
            elif path.suffix.lower() in image_suffixes():
                yield path  # a broken link or a pipe is reported as an image that cannot be read
            elif path.suffix.lower() in UNREADABLE:
                passed_over[path.suffix.lower()] += 1
    for suffix, count in sorted(passed_over.items()):
        said = "%s: %d %s files are left out, they cannot be read here; convert them to %s"
        log.warning(said, folder, count, suffix, UNREADABLE[suffix])


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


def _refuse_large(image: Image.Image, path: Path | Address, max_pixels: int | None) -> None:
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
