"""What is done and what is to do, image by image."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from frozenseg_label.addresses import Address
from frozenseg_label.errors import ImageError, RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.runs.known import Known

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
        changed: those of `todo` whose file is another one than the one that was labelled.
        touched: those of `changed` that a person has corrected.
    """

    done: tuple[ImageRecord, ...]
    todo: tuple[ImageRecord, ...]
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    failed: tuple[ImageRecord, ...] = ()
    changed: tuple[ImageRecord, ...] = ()
    touched: tuple[ImageRecord, ...] = ()


def make_plan(
    records: Sequence[ImageRecord],
    known: Mapping[str, Known],
    run: str,
    missing: Collection[str],
    *,
    checksum: bool,
    moved: bool = False,
) -> Plan:
    """Sort the images.

    Args:
        run: fingerprint of the run that asks.
        missing: images that lack a file.
        checksum: detect changed images by their hash, not by size and time of change.
        moved: the images are in another folder than those that were labelled: times say nothing.
    """
    done, todo, failed, changed = [], [], [], []
    reasons = Counter[Reason]()
    for record in records:
        last = known.get(record.relative)
        same = last is not None and _is_same_image(record, last, checksum, moved)
        reason = _reason(last, same, run, record.relative in missing)
        if reason is None:
            done.append(record)
        else:
            todo.append(record)
            reasons[reason] += 1
        if reason == "failed":
            failed.append(record)
        if reason == "changed":
            changed.append(record)
    touched = tuple(record for record in changed if known[record.relative].is_corrected)
    return Plan(tuple(done), tuple(todo), dict(reasons), tuple(failed), tuple(changed), touched)


def root_of(records: Sequence[ImageRecord]) -> str | None:
    """Return the folder that the images' names are relative to; None without images."""
    if not records:
        return None
    first = records[0]
    if isinstance(first.path, Address):
        return f"{first.path.above(first.relative)}"
    path = first.path.absolute().as_posix()
    return path.removesuffix(first.relative).rstrip("/") or "/"


def refuse_other_images(
    folder: Path, root: str | None, records: Sequence[ImageRecord], plan: Plan
) -> None:
    """Raise RunError where images of another folder would meet the labels of equal names here.

    Images that were moved are welcome: most of those that the journal knows have their old content.

    Args:
        folder: of the labels.
        root: folder of the images that were labelled first.
        records: the images of now.
        plan: made of them with `checksum`.
    """
    same = len(records) - len(plan.changed) - plan.reasons.get("new", 0)
    if len(plan.changed) > same or not same:
        raise RunError(
            f"{folder} has labels of the images in {root}, and of those in {root_of(records)} "
            f"only {same} are the same; name another folder for these"
        )


def content_hash(path: Path | Address) -> str | None:
    """Return SHA-256 (hex) of a file; None if it cannot be read."""
    try:
        if isinstance(path, Address):
            return hashlib.sha256(path.read_bytes()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ImageError):
        return None


def _reason(known: Known | None, same: bool, run: str, is_missing: bool) -> Reason | None:
    """Return why the image is to do; None: it is done."""
    if known is None:
        return "new"
    if not same:
        return "changed"
    if known.event == "failed":
        return "failed"
    if known.run != run and not known.is_reviewed:
        return "outdated"
    return "incomplete" if is_missing else None


def _is_same_image(record: ImageRecord, known: Known, checksum: bool, moved: bool) -> bool:
    """Return whether the file is the one that was labelled; times only save reading it again."""
    same_size = record.size == known.size
    same_time = (record.mtime_ns, record.etag) == (known.mtime_ns, known.etag)
    if known.sha256 is None:  # of an earlier version: all that is known is size and time
        return same_size and (same_time or moved)
    if same_size and same_time and not (checksum or moved):
        return True
    return same_size and content_hash(record.path) == known.sha256
