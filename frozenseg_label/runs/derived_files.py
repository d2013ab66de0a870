"""The files that are made from the journal: `panoptic.json`, `summary.json`, `failures.jsonl`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from frozenseg_label.addresses import Address, place_of
from frozenseg_label.files import atomic_write, explained, refuse_links
from frozenseg_label.images import ImageRecord
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.known import Known
from frozenseg_label.runs.layout import FAILURES, PANOPTIC_JSON, SUMMARY
from frozenseg_label.runs.manifest import Manifest, Totals, write_manifest
from frozenseg_label.runs.panoptic_document import write_panoptic_json

SUMMARY_VERSION = 1


@dataclass(frozen=True)
class Summary:
    """What happened since the folder was opened, and what it holds now.

    Attributes:
        labelled, failed: images since then.
        skipped: images that the plan found done.
        totals: of the whole folder.
    """

    labelled: int
    skipped: int
    failed: int
    totals: Totals


def assemble(
    folder: Path, journal: Journal, manifest: Manifest, labelled: int, skipped: int, failed: int
) -> Manifest:
    """Write `panoptic.json` and `summary.json`; returns the manifest, written too, with totals."""
    manifest = manifest.model_copy(update={"updated": datetime.now(UTC)})
    totals = write_panoptic_json(folder / PANOPTIC_JSON, journal, manifest)
    summary = {
        "schema_version": SUMMARY_VERSION,
        "labelled": labelled,
        "skipped": skipped,
        "failed": failed,
        "missing_images": manifest.missing_images,
        "warnings": list(manifest.warnings),
        "totals": totals.model_dump(),
    }
    atomic_write(folder / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    manifest = manifest.model_copy(update={"totals": totals, "assembled": journal.length})
    write_manifest(folder, manifest)  # last: a kill before this makes all of it again
    return manifest


def count_missing(
    root: str | None, known: Mapping[str, Known], records: Sequence[ImageRecord]
) -> int:
    """Return how many labelled images are no longer on the disk.

    Their labels stay: in the journal, in `panoptic.json` and as PNGs. Who removes an image does not
    ask for its labels to be lost, and it may come back.

    Args:
        root: folder that the images' names are relative to; None, or an address: 0 is returned.
        known: the last row of each image.
        records: images that are there.
    """
    if root is None or isinstance(place_of(root), Address):
        return 0  # a bucket would be asked for each of them
    there = {record.relative for record in records}
    labelled = (image for image, row in known.items() if row.file is not None)
    return sum(not Path(root, image).exists() for image in labelled if image not in there)


def is_assembled(folder: Path, journal: Journal, manifest: Manifest) -> bool:
    """Return whether `panoptic.json` and `summary.json` say what the journal says."""
    there = (folder / PANOPTIC_JSON).exists() and (folder / SUMMARY).exists()
    return there and manifest.totals is not None and manifest.assembled == journal.length


def write_failures(folder: Path, journal: Journal) -> None:
    """Make `failures.jsonl` hold a row for each image whose last attempt failed, and no other."""
    path = folder / FAILURES
    failed = [image for image, known in journal.known.items() if known.event == "failed"]
    lines = [_failure_line(entry) for image in failed if (entry := journal.last(image))]
    content = b"".join(lines)
    if not lines:
        with explained(path):
            path.unlink(missing_ok=True)
    elif not path.exists() or path.read_bytes() != content:
        atomic_write(path, content)


def append_failure(folder: Path, entry: Entry) -> None:
    """Add a row to `failures.jsonl`, so that people see it while the run goes on."""
    path = folder / FAILURES
    refuse_links(folder, FAILURES)
    with explained(path), path.open("ab", buffering=0) as file:
        file.write(_failure_line(entry))


def _failure_line(entry: Entry) -> bytes:
    row = {"image": entry.image, "message": entry.message, "time": entry.time.isoformat()}
    return json.dumps(row).encode() + b"\n"
