"""The result of `annotate`, as plain values."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frozenseg_label.errors import ImageError
    from frozenseg_label.images import ImageRecord
    from frozenseg_label.runs.manifest import Manifest

MOST_FAILURES = 100  # that a summary names; `failures.jsonl` names all


@dataclass(frozen=True)
class FailedImage:
    """An image that could not be labelled, by its name in the run, and why."""

    image: str
    reason: str


@dataclass(frozen=True)
class MadeWith:
    """The weights and the vocabulary of a run, by their names and fingerprints."""

    weights: str
    weights_fingerprint: str
    vocabulary: str
    vocabulary_fingerprint: str

    @classmethod
    def of(cls, manifest: "Manifest") -> "MadeWith":
        """Return those that a manifest names."""
        weights, words = manifest.weights, manifest.vocabulary
        return cls(weights.name, weights.fingerprint, words.name, words.fingerprint)


@dataclass(frozen=True)
class Estimate:
    """The time and the space of a run.

    Attributes:
        images: to label.
        seconds: for all of them, with one image at a time.
        disk_bytes: of COCO panoptic labels.
        kept_bytes: of the proposals beside them; 0 where none are kept.
        free_bytes: on the disk of the run folder.
        memory_bytes: the most that was in use while images were timed; None on Windows.
    """

    images: int
    seconds: float
    disk_bytes: int
    kept_bytes: int
    free_bytes: int
    memory_bytes: int | None


@dataclass(frozen=True)
class AnnotateSummary:
    """The result of one call of `annotate`; in a dry run, what it would do.

    Attributes:
        output: the run folder.
        made_with: weights and vocabulary.
        labelled, skipped, failed: images; skipped ones were labelled before.
        missing_images: labelled before, and no longer on the disk; their labels stay.
        segments: number of segments of each class that occurs in the whole run folder.
        seconds: time spent.
        warnings: sentences about the whole run, also in `summary.json`.
        paths: files and folders of the run folder that are there, by their names.
        failures: images whose last attempt failed, the first `MOST_FAILURES`.
        estimate: of a dry run that found images to label; None otherwise.
    """

    output: Path
    made_with: MadeWith
    labelled: int
    skipped: int
    failed: int
    missing_images: int = 0
    segments: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    paths: dict[str, Path] = field(default_factory=dict)
    failures: tuple[FailedImage, ...] = ()
    estimate: Estimate | None = None


def paths_in(folder: Path) -> dict[str, Path]:
    """Return the files and folders in a run folder that people and programs read, by name."""
    from frozenseg_label.runs import layout

    files = [layout.PANOPTIC_JSON, layout.MANIFEST, layout.JOURNAL, layout.SUMMARY, layout.FAILURES]
    made = [
        layout.PANOPTIC,
        layout.CLASS_PNG,
        layout.PER_CLASS_PNG,
        layout.OVERLAY,
        layout.SEMANTIC,
        layout.KEPT,
    ]
    return {name: folder / name for name in files + made if (folder / name).exists()}


def read_failures(folder: Path) -> tuple[FailedImage, ...]:
    """Return the first images of a run folder whose last attempt failed."""
    from frozenseg_label.runs.layout import FAILURES

    if not (folder / FAILURES).exists():
        return ()
    with (folder / FAILURES).open("rb") as file:
        rows = list(map(json.loads, islice(file, MOST_FAILURES)))
    return tuple(FailedImage(row["image"], row["message"]) for row in rows)


def failures_of(unreadable: "Iterable[tuple[ImageRecord, ImageError]]") -> tuple[FailedImage, ...]:
    """Return the first of some images that cannot be read, with their errors in words."""
    some = islice(unreadable, MOST_FAILURES)
    return tuple(FailedImage(record.relative, f"{error}") for record, error in some)
