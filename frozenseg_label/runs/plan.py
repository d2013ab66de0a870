"""What is done and what is to do, image by image."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from frozenseg_label.errors import RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.runs.journal import Known

Reason = Literal["new", "failed", "changed", "outdated", "incomplete"]


@dataclass(frozen=True)
class Plan:
    """The images of a run, in the order in which they came.

    Attributes:
        done: labelled by these weights, words and options, or reviewed by a person.
        todo: all others.
        reasons: how many are to do because they are new, failed last time, changed since, were
            labelled by other weights, words or options, or lack a file.
        failed: those of `todo` that failed last time and have not changed since.
    """

    done: tuple[ImageRecord, ...]
    todo: tuple[ImageRecord, ...]
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    failed: tuple[ImageRecord, ...] = ()


def make_plan(
    records: Sequence[ImageRecord],
    known: Mapping[str, Known],
    run: str,
    missing: Collection[str],
    checksum: bool,
) -> Plan:
    """Sort the images.

    Args:
        run: fingerprint of the run that asks.
        missing: images that lack a file.
        checksum: know images by their content, not by size and time of change.
    """
    done, todo, failed, reasons = [], [], [], Counter[Reason]()
    for record in records:
        reason = _reason(record, known.get(record.relative), run, missing, checksum)
        if reason is None:
            done.append(record)
        else:
            todo.append(record)
            reasons[reason] += 1
        if reason == "failed":
            failed.append(record)
    return Plan(tuple(done), tuple(todo), dict(reasons), tuple(failed))


def root_of(records: Sequence[ImageRecord]) -> str | None:
    """Return the folder that the images' names are relative to; None without images."""
    if not records:
        return None
    path = records[0].path.absolute().as_posix()
    return path.removesuffix(records[0].relative).rstrip("/") or "/"


def refuse_other_images(
    folder: Path, root: str | None, records: Sequence[ImageRecord], known: Mapping[str, Known]
) -> None:
    """Raise RunError where images of another folder would meet the labels of equal names here.

    Images that were moved are welcome: some of them have the size that the journal says.

    Args:
        folder: of the labels.
        root: folder of the images that were labelled first; None: not known.
    """
    if not known or not records or root in (None, root_of(records)):
        return
    if not any(
        known[record.relative].size == record.size for record in records if record.relative in known
    ):
        raise RunError(
            f"{folder} has labels of the images in {root}, and none of them is among those of "
            f"{root_of(records)}; name another folder for these"
        )


def content_hash(path: Path) -> str | None:
    """Return SHA-256 (hex) of a file; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _reason(
    record: ImageRecord, known: Known | None, run: str, missing: Collection[str], checksum: bool
) -> Reason | None:
    """Return why the image is to do; None: it is done."""
    if known is None:
        return "new"
    if not _is_same_image(record, known, checksum):
        return "changed"
    if known.event == "failed":
        return "failed"
    if known.run != run and not known.is_reviewed:
        return "outdated"
    return "incomplete" if record.relative in missing else None


def _is_same_image(record: ImageRecord, known: Known, checksum: bool) -> bool:
    if checksum and known.sha256 is not None:
        return content_hash(record.path) == known.sha256
    return (record.size, record.mtime_ns) == (known.size, known.mtime_ns)
