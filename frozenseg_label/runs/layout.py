"""The names and places of all files in a run folder (DESIGN.md, section 3)."""

import hashlib
import itertools
import os
import unicodedata
from collections.abc import Container
from pathlib import Path

from frozenseg_label.files import staged_name
from frozenseg_label.formats.coco_panoptic import png_name

MANIFEST = "run.json"
JOURNAL = "journal.jsonl"
LOCK_FILE = "lock"
PANOPTIC_JSON = "panoptic.json"
SUMMARY = "summary.json"
FAILURES = "failures.jsonl"
REJECTED = "rejected.jsonl"  # masks of segments that people rejected

PANOPTIC = "panoptic"  # the labels
PROPOSED = "proposed"  # the model's own maps of images that people corrected
CLASS_PNG = "class-png"
PER_CLASS_PNG = "per-class-png"
OVERLAY = "overlay"  # JPEGs for people to look at
SEMANTIC = "semantic"  # class PNGs, too, but of the model's semantic output
EMBEDDINGS = "embeddings"
KEPT = "kept"  # proposals of images, for other words
OPENED = "review"  # the labels as a review opened them


def checked_name(image: str) -> str:
    """Return the name of an image if it stays below its folder; ValueError for any other.

    Names come out of files that a stranger may have written.
    """
    parts = image.split("/")
    if not image or "\0" in image or image.startswith("/") or ".." in parts:
        raise ValueError(f"an image's name must be a relative path below its folder, got {image!r}")
    return image


def long_png_name(image: str) -> str:
    """Return the PNG of an image whose stem is another's, too; in old run folders, of any image."""
    return f"{image}.png"


def free_png_name(image: str, taken: Container[str]) -> str:
    """Return the PNG of an image that has none yet: `stem.png`, or a longer name if that is taken.

    Args:
        taken: names of other images' PNGs, as `folded` gives them.
    """
    longer = (f"{image}.{number}.png" for number in itertools.count(2))
    names = itertools.chain((png_name(image), long_png_name(image)), longer)
    return next(name for name in names if folded(name) not in taken)


def kept_path(file: str) -> str:
    """Return where the proposals of an image are kept whose labels are in the PNG `file`."""
    return f"{KEPT}/{file.removesuffix('.png')}.safetensors"


def opened_path(image: str, png: str) -> str:
    """Return where a review keeps the labels of an image as it opened them.

    Args:
        png: SHA-256 (hex) of their PNG.
    """
    key = hashlib.sha256(os.fsencode(f"{image}\0{png}")).hexdigest()
    return f"{OPENED}/{key[:32]}.png"


def staging_key(file: str, sha256: str) -> str:
    """Return the key under which a file of a run is staged, made of its path and its content."""
    return hashlib.sha256(os.fsencode(f"{file}\0{sha256}")).hexdigest()[:32]


def staged_path(folder: Path, file: str, sha256: str) -> Path:
    """Return where a file of a run is staged until the row that names it is in the journal.

    Args:
        folder: of the run.
        file: path in the run folder, with `/`.
        sha256: of the content (hex).
    """
    return staged_name(folder / file, staging_key(file, sha256))


def folded(name: str) -> str:
    """Return a form of a file's name that is equal where any system takes two names for one."""
    return unicodedata.normalize("NFC", name).casefold()
