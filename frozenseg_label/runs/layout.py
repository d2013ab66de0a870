"""The names and places of all files in a run folder (DESIGN.md, section 3)."""

import os
from pathlib import Path

from frozenseg_label.errors import RunError
from frozenseg_label.formats.coco_panoptic import png_name

MANIFEST = "run.json"
JOURNAL = "journal.jsonl"
LOCK_FILE = "lock"
PANOPTIC_JSON = "panoptic.json"
SUMMARY = "summary.json"
FAILURES = "failures.jsonl"

PANOPTIC = "panoptic"  # the labels
PROPOSED = "proposed"  # the model's own maps of images that people corrected
CLASS_PNG = "class-png"
PER_CLASS_PNG = "per-class-png"
SEMANTIC = "semantic"  # class PNGs, too, but of the model's semantic output
EMBEDDINGS = "embeddings"
OPENED = "review"  # the labels as a review opened them


def checked_name(image: str) -> str:
    """Return the name of an image if it stays below its folder; ValueError for any other.

    Names come out of files that a stranger may have written.
    """
    parts = image.split("/")
    if not image or "\0" in image or image.startswith("/") or ".." in parts:
        raise ValueError(f"an image's name must be a relative path below its folder, got {image!r}")
    return image


def refuse_links(folder: Path, file: str) -> None:
    """Raise RunError where a file of a run folder, or a folder above it, is a symbolic link.

    Writing through one would change what is elsewhere.

    Args:
        folder: of the run; it may be a link itself.
        file: path in the run folder, with `/`.
    """
    place = folder
    for part in file.split("/"):
        place = place / part
        if os.path.islink(place):  # noqa: PTH114 - a name that is too long is no link, and no error
            raise RunError(
                f"{place}: is a symbolic link, and a run folder is not written through links; "
                "put the file itself there"
            )


def label_file(kind: str, image: str) -> str:
    """Return where the PNG of an image is, relative to the run folder, with `/`.

    It keeps the image's suffix, so that no two images have the same.

    Args:
        kind: folder of the run, as `PANOPTIC`.
        image: its name in the run.
    """
    return f"{kind}/{png_name(image)}"
