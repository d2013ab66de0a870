"""Images on disk or at addresses: which there are."""

import logging
import os
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.addresses import Address, common_address, files_at, files_below
from frozenseg_label.errors import ImageError
from frozenseg_label.files import MARKER
from frozenseg_label.image_formats import UNREADABLE, image_suffixes

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
