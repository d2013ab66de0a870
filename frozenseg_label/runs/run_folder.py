"""The run folder: labels of many images, how they were made, and what people did to them.

What the jobs do with it:

    with RunFolder.open_or_create(path, manifest) as run:
        for record in run.plan(records).todo:
            run.commit(record, panoptic_map)
        summary = run.finish()
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from frozenseg_label.images import ImageRecord
from frozenseg_label.runs.commit import lacks_files
from frozenseg_label.runs.derived_files import (
    Summary,
    assemble,
    count_missing,
    is_assembled,
    write_failures,
)
from frozenseg_label.runs.extra_formats import ExtraFormat, extra_formats_of
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.manifest import Manifest, Totals, write_manifest
from frozenseg_label.runs.opening import open_to_correct, open_to_preview, open_to_write
from frozenseg_label.runs.plan import Plan, content_hash, make_plan, refuse_other_images, root_of
from frozenseg_label.runs.run_writer import RunWriter

log = logging.getLogger(__name__)


class RunFolder(RunWriter):
    """A run folder to plan, to write and to correct; `open_or_create` makes one.

    `commit`, `stage`, `accept` and `fail` may be called from other threads than the rest.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        journal: Journal,
        formats: Sequence[ExtraFormat] = (),
        semantic: bool = False,
        *,
        writable: bool = False,
    ) -> None:
        super().__init__(path, manifest, journal, formats)
        self._semantic = semantic
        self._writable = writable
        self._skipped = 0

    @classmethod
    @contextmanager
    def open_or_create(
        cls,
        path: Path,
        manifest: Manifest,
        *,
        update: bool = False,
        formats: Sequence[ExtraFormat] = (),
        semantic: bool = False,
    ) -> Iterator[Self]:
        """Yield the folder, locked, with the leftovers of a killed run put in order.

        Args:
            manifest: of what is asked now; RunError if the folder was made otherwise.
            update: take the folder up all the same.
            formats: what to write beside COCO panoptic.
            semantic: images without a semantic map count as not done.
        """
        with (
            open_to_write(path, manifest, update) as (agreed, journal),
            cls(path, agreed, journal, formats, semantic, writable=True)._synced() as run,
        ):
            yield run

    @classmethod
    @contextmanager
    def open_to_correct(cls, path: Path) -> Iterator[Self]:
        """Yield a folder that is there, locked; what it was made with stays as it is.

        Files of extra formats that the last `annotate` was asked for go along with corrections.
        """
        with open_to_correct(path) as (manifest, journal):
            formats = extra_formats_of(manifest)
            with cls(path, manifest, journal, formats, writable=True)._synced() as run:
                yield run

    @classmethod
    @contextmanager
    def preview(
        cls, path: Path, manifest: Manifest, *, update: bool = False, semantic: bool = False
    ) -> Iterator[Self]:
        """Yield the folder as `open_or_create` would, only to `plan`; nothing is written.

        RunError where `open_or_create` would refuse the folder, unless because it is in use.
        """
        agreed, journal = open_to_preview(path, manifest, update)
        try:
            yield cls(path, agreed, journal, semantic=semantic, writable=False)
        finally:
            journal.close()

    def plan(
        self, records: Sequence[ImageRecord], *, checksum: bool = False, kept: bool = False
    ) -> Plan:
        """Return what is done and what is to do; failed, changed and outdated images are to do.

        Args:
            checksum: detect changed images by their hash, not by size and time of change, and
                changed label PNGs by theirs, not by size.
            kept: images without kept proposals are to do, unless they are reviewed.
        """
        known = self._journal.known
        missing = {
            image
            for record in records
            if (image := record.relative) in known and self._lacks_files(image, checksum, kept)
        }
        moved = bool(known and records) and self.manifest.root not in (None, root_of(records))
        fingerprint = self.manifest.fingerprint
        plan = make_plan(records, known, fingerprint, missing, checksum=checksum, moved=moved)
        if moved:
            refuse_other_images(self.path, self.manifest.root, records, plan)
        if records and self.manifest.root != root_of(records):
            self.manifest = self.manifest.model_copy(update={"root": root_of(records)})
            if self._writable:
                write_manifest(self.path, self.manifest)
        missing_images = count_missing(self.manifest.root, known, records)
        if missing_images != self.manifest.missing_images:
            update = {"missing_images": missing_images, "assembled": 0}
            self.manifest = self.manifest.model_copy(update=update)
        self._skipped = len(plan.done)
        return plan

    def note_precision(self, precision: str) -> None:
        """Write down in what precision labels are made from now on; warn where it is another one.

        It is no option that must agree: a run may go on where the first machine's is slow.
        """
        before = self.manifest.precisions
        if precision in before:
            return
        if before:
            log.warning(
                "labels here were made in %s, and are made in %s from now on; they differ a "
                "little. --precision chooses one of them",
                " and ".join(before),
                precision,
            )
        self.manifest = self.manifest.model_copy(update={"precisions": (*before, precision)})
        write_manifest(self.path, self.manifest)

    def finish(self) -> Summary:
        """Bring up to date what is made from the journal; does nothing where that is so already.

        That is `panoptic.json`, `failures.jsonl`, `summary.json`, the totals in `run.json`, and the
        files of extra formats that images labelled earlier lack.
        """
        with self._journal.writing():
            self._journal.sync()
            for entry, labels in self._extras.lacking(self._journal.entries()):
                self._extras.write(labels.file, self._files.read(labels), None, self.record(entry))
            self._extras.report_undrawn()
            if self._withdrawn:
                log.warning(
                    "in %d images, what `calibrate` had accepted is proposed again, because the "
                    "words have changed",
                    self._withdrawn,
                )
            self._extras.write_classes_file()
            write_failures(self.path, self._journal)
            counts = self._labelled, self._skipped, self._failed
            if not is_assembled(self.path, self._journal, self.manifest):
                self._embeddings.tidy(self._journal)
                self.manifest = assemble(self.path, self._journal, self.manifest, *counts)
            return Summary(*counts, self.manifest.totals or Totals())

    @contextmanager
    def _synced(self) -> Iterator[Self]:
        """Yield the folder; at a good end all that was written is forced to the disk."""
        try:
            yield self
            self._journal.sync()
            self._embeddings.sync()
        finally:
            self._embeddings.close()

    def _lacks_files(self, image: str, checksum: bool, kept: bool) -> bool:
        known = self._journal.known[image]
        if lacks_files(self.path, known, semantic=self._semantic, kept=kept):
            return True
        labels = self._labels(image) if checksum else None
        return labels is not None and content_hash(self.png(labels)) != labels.current.png
