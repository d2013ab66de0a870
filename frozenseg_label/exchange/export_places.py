"""Where the files of each image go in an export: into which part, and under which name."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frozenseg_label.formats.export_image import Place

PARTS = ("train", "val", "test")


def shares_of(split: str) -> tuple[float, ...]:
    """Return the shares of `80/10/10` or `80/20`, summing to 1; ValueError for any other text."""
    try:
        numbers = [float(number) for number in split.split("/")]
    except ValueError:
        numbers = []
    if not 2 <= len(numbers) <= len(PARTS) or not all(0 < number < 1e9 for number in numbers):
        raise ValueError(f"a split is two or three numbers above 0, as 80/10/10, got {split!r}")
    return tuple(number / sum(numbers) for number in numbers)


def part_of(name: str, shares: Sequence[float], *, by_folder: bool = False) -> str:
    """Return the part that an image belongs to, whatever other images there are.

    Args:
        by_folder: images of one folder are in one part.
    """
    known_by = PurePosixPath(name).parent.as_posix() if by_folder else name
    digest = hashlib.sha256(known_by.encode(errors="surrogateescape")).digest()
    place = int.from_bytes(digest[:8]) / 2**64  # 0..1
    for part, share in zip(PARTS, shares, strict=False):
        if place < share:
            return part
        place -= share
    return PARTS[len(shares) - 1]


def places_of(
    names: Iterable[str],
    picture: Callable[[str], Path | None],
    shares: Sequence[float] = (),
    *,
    by_folder: bool = False,
) -> "dict[str, list[Place]]":
    """Return the places of images, part by part, in the order of the names.

    Args:
        picture: where the picture of an image is; None: not known.
        shares: of train, val and test; empty: the images are not split.
        by_folder: as of `part_of`.
    """
    from frozenseg_label.formats.export_image import Place
    from frozenseg_label.runs.layout import folded, free_png_name

    taken: set[str] = set()
    parts: dict[str, list[Place]] = {part: [] for part in PARTS[: len(shares)] or ("",)}
    for name in names:
        png = free_png_name(name, taken)  # of 1.jpg and 1.png, the second keeps its suffix
        taken.add(folded(png))
        part = part_of(name, shares, by_folder=by_folder) if shares else ""
        suffix = (picture(name) or Path(name)).suffix
        parts[part].append(Place(name, png.removesuffix(".png"), suffix, part))
    return {part: places for part, places in parts.items() if places}
