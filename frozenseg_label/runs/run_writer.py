"""Writing to a run folder what happened to one image: labels, corrections, a failure.

Each is one row of the journal; what the row names is on the disk before it.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, Unpack

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import ImageState, PanopticMap
from frozenseg_label.runs.commit import commit_entry, remove_file, stage_files
from frozenseg_label.runs.derived_files import append_failure
from frozenseg_label.runs.extra_formats import ExtraFiles, ExtraFormat
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.label_files import image_at_fault
from frozenseg_label.runs.layout import kept_path
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.runs.staging import LabelFacts, LabelStager, StagedLabels, WriteOrder


class RunWriter(RunReader):
    """A run folder whose images get labels; it counts what it writes.

    `commit`, `stage`, `accept` and `fail` may be called from other threads than the rest.
    """

    def __init__(
        self, path: Path, manifest: Manifest, journal: Journal, formats: Sequence[ExtraFormat]
    ) -> None:
        super().__init__(path, manifest, journal)
        self._extras = ExtraFiles(path, self.vocabulary, tuple(formats))
        self._stager = LabelStager(
            self._files, self._extras, self._embeddings, manifest.fingerprint, journal.refuse_moved
        )
        self._labelled = self._failed = 0
        self._withdrawn = 0  # images with segments that a machine had accepted by other words

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

    def stage(
        self, order: WriteOrder, panoptic_map: PanopticMap, **facts: Unpack[LabelFacts]
    ) -> StagedLabels:
        """Stage a model's labels of an image, for `accept`; several threads may do so at once.

        Arguments and errors are those of `commit`.
        """
        with self._journal.unmoved(), image_at_fault(order.record):
            return self._stager.stage(order, panoptic_map, **facts)[0]

    def accept(self, staged: StagedLabels) -> None:
        """Commit what was staged for this folder, here or by a worker."""
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

    def _png_name(self, image: str, before: Labels | None) -> str:
        """Return the PNG of an image; `before`: the labels that it has, whose name stays."""
        return before.file if before is not None else self._journal.free_png_name(image)
