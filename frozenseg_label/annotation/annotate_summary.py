"""The result of `annotate`, as plain values."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frozenseg_label.annotation.dry_run import Estimate


@dataclass(frozen=True)
class AnnotateSummary:
    """The result of one call of `annotate`; in a dry run, what it would do.

    Attributes:
        output: the run folder.
        labelled, skipped, failed: images; skipped ones were labelled before.
        missing_images: labelled before, and no longer on the disk; their labels stay.
        segments: number of segments of each class that occurs in the whole run folder.
        seconds: time spent.
        warnings: sentences about the whole run, also in `summary.json`.
        estimate: of a dry run that found images to label; None otherwise.
    """

    output: Path
    labelled: int
    skipped: int
    failed: int
    missing_images: int = 0
    segments: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    estimate: "Estimate | None" = None
