"""The run folder: labels of many images, how they were made, and what people did to them.

What the jobs do with it:

    with RunFolder.open_or_create(path, manifest) as run:
        for record in run.plan(records).todo:
            run.commit(record, panoptic_map)
        summary = run.finish()
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self, Unpack

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import ImageState, PanopticMap
from frozenseg_label.runs.commit import commit_entry, lacks_files, remove_file, stage_files
from frozenseg_label.runs.derived_files import (
    Summary,
    append_failure,
    assemble,
    count_missing,
    is_assembled,
    write_failures,
)
from frozenseg_label.runs.extra_formats import ExtraFiles, ExtraFormat, extra_formats_of
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.label_files import image_at_fault
from frozenseg_label.runs.layout import kept_path
from frozenseg_label.runs.manifest import Manifest, Totals, write_manifest
from frozenseg_label.runs.opening import open_to_correct, open_to_preview, open_to_write
from frozenseg_label.runs.plan import Plan, content_hash, make_plan, refuse_other_images, root_of
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.runs.staging import LabelFacts, LabelStager, StagedLabels, WriteOrder

log = logging.getLogger(__name__)


class RunFolder(RunReader):
    """A run folder to plan, to write and to correct; `open_or_create` makes one.

    `commit` and `fail` may be called from other threads than the rest.
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
        super().__init__(path, manifest, journal)
        self._extras = ExtraFiles(path, self.vocabulary, tuple(formats))
        self._stager = LabelStager(
            self._files, self._extras, self._embeddings, manifest.fingerprint, journal.refuse_moved
        )
        self._semantic = semantic
        self._writable = writable
        self._labelled = self._skipped = self._failed = 0
        self._withdrawn = 0  # images with segments that a machine had accepted by other words

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

    def commit(
        self, record: ImageRecord, panoptic_map: PanopticMap, **facts: Unpack[LabelFacts]
    ) -> PanopticMap:
        """Write a model's labels of an image, beside a person's segments; returns what is written.

        ImageError: this image cannot be written, others can. RunError: none can (full disk).
        """
        with self._journal.writing(), image_at_fault(record):
            staged, written = self._stager.stage(self.order(record), panoptic_map, **facts)
            self.accept(staged)
            return written

    def order(self, record: ImageRecord) -> WriteOrder:
        """Return what a worker needs to stage an image's labels; `accept` then commits them.

        The name of its PNG is no other image's as long as the folder is open.
        """
        last = self._journal.last(record.relative)
        file = self._png_name(record.relative, last.labels if last is not None else None)
        return WriteOrder(record, file, last)

    def accept(self, staged: StagedLabels) -> None:
        """Commit what a worker staged for this folder."""
        with self._journal.writing():
            known = self._journal.known.get(staged.image)
            durable = staged.is_corrected
            commit_entry(self.path, self._journal, staged.row, staged.files, durable=durable)
            if known is not None and known.has_kept and not staged.has_kept:
                remove_file(self.path, kept_path(staged.file))
            self._labelled += 1
            self._withdrawn += staged.withdrawn

    def correct(
        self,
        record: ImageRecord,
        panoptic_map: PanopticMap,
        *,
        state: ImageState,
        event: Literal["reviewed", "imported"] = "reviewed",
        origin: str | None = None,
        beside: PanopticMap | None = None,
        user: str | None = None,
        note: str | None = None,
    ) -> None:
        """Write a person's labels of an image; rejected segments become void and are remembered.

        The model's own map goes to `proposed/` the first time.

        Args:
            panoptic_map: with the ids of `vocabulary`; rejected segments still have their pixels.
            state: how far the person has looked at the image.
            origin: where imported labels come from.
            beside: the present labels, where the person's were put beside them and they may have
                got other ids.
            user: name of the person.
            note: about the image; None: the one that it has stays.
        """
        panoptic_map.check()
        with self._journal.writing(), image_at_fault(record):
            last = self._journal.last(record.relative)
            if beside is not None and last is not None:
                key = self._embeddings.renumber(last.embeddings, beside, panoptic_map)
                last = last.model_copy(update={"embeddings": key})
            before = last.labels if last is not None else None
            file = self._png_name(record.relative, before)
            write = self._files.correction(panoptic_map, state, before, file, note)
            self._extras.write(file, write.panoptic, before, record)
            entry = Entry.of_correction(event, record, last, write.labels, origin, user)
            self._journal.refuse_moved()
            files = stage_files(self.path, write.files)
            commit_entry(self.path, self._journal, entry, files, durable=True)

    def settle(self, entry: Entry, ids: Collection[int], rule: str | None) -> None:
        """Write that a rule accepted segments of an image, or, with None, takes this back.

        One row; the label files, and how far a person has looked, stay as they are.

        Args:
            entry: the last row of the image, with labels.
            ids: of the segments.
            rule: for people to read, with its numbers.
        """
        if entry.labels is None:
            raise ValueError(f"{entry.image} has no labels whose segments a rule could accept")
        labels = entry.labels.settled(ids, rule)
        row = Entry.of_correction("calibrated", self.record(entry), entry, labels, None)
        with self._journal.writing():
            self._journal.append(row)

    def fail(self, record: ImageRecord, message: str) -> None:
        """Write down that an image could not be labelled; labels that it has stay as they are.

        A failure that is written down already is only counted.
        """
        with self._journal.writing():
            self._failed += 1
            last = self._journal.last(record.relative)
            if last is not None and last.is_failure_of(record, message):
                return
            entry = Entry.of_failure(record, last, message)
            self._journal.append(entry)
            append_failure(self.path, entry)

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

    def _png_name(self, image: str, before: Labels | None) -> str:
        """Return the PNG of an image; `before`: the labels that it has, whose name stays."""
        return before.file if before is not None else self._journal.free_png_name(image)

    def _lacks_files(self, image: str, checksum: bool, kept: bool) -> bool:
        known = self._journal.known[image]
        if lacks_files(self.path, known, semantic=self._semantic, kept=kept):
            return True
        labels = self._labels(image) if checksum else None
        return labels is not None and content_hash(self.png(labels)) != labels.current.png
