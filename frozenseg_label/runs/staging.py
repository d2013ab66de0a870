"""Labels staged by any worker, of which one writer of the journal makes committed ones.

The writer tells which PNG, and what was there before (`order`). A worker, in another thread or on
another machine, writes the files (`stage`). The writer adds one row, and the files get their names
(`accept`). What nobody accepts is removed when the folder is opened next.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import RunError
from frozenseg_label.files import explained
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.commit import StagedFiles, stage_files
from frozenseg_label.runs.embeddings import EmbeddingShards, ImageEmbeddings
from frozenseg_label.runs.extra_formats import ExtraFiles, extra_formats_of
from frozenseg_label.runs.journal import EncodedRow, encode_row, refuse_moved
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.kept_files import kept_hash
from frozenseg_label.runs.label_files import LabelFiles, image_at_fault
from frozenseg_label.runs.layout import JOURNAL, kept_path
from frozenseg_label.runs.manifest import read_manifest
from frozenseg_label.runs.opening import refuse_no_run


class LabelFacts(TypedDict, total=False):
    """What is known of a model's labels beside the map; what is missing is not known.

    Keys:
        sha256: of the image file (hex), by which the image is known again.
        seconds: that the image took.
        semantic: index of the best category of each pixel [H, W], 0..K-1.
        embeddings: what CLIP saw, by the ids of the map.
        kept: content of the file of proposals that goes below `kept/`; without it an earlier one is
            removed, of which nobody knows whether it is of the same picture.
        event: "relabelled": the picture was not read, so its hash and `kept/` stay.
    """

    sha256: str | None
    seconds: float | None
    semantic: NDArray[np.integer] | None
    embeddings: ImageEmbeddings | None
    kept: bytes | None
    event: Literal["annotated", "relabelled"]


@dataclass(frozen=True)
class WriteOrder:
    """What a worker must know of a run folder to stage the labels of one image.

    Attributes:
        record: the image.
        file: of the labels, below `panoptic/`; of no other image.
        last: the image's last row; None: it never came.
    """

    record: ImageRecord
    file: str
    last: Entry | None


@dataclass(frozen=True)
class StagedLabels:
    """The labels of one image on the disk, under names that nobody reads yet.

    Attributes:
        image: its name in the run.
        file: of the labels, below `panoptic/`.
        row: commits them; mostly encoded, so that the writer has little to do.
        files: those that the row names.
        has_kept: whether proposals are among them, or stay.
        is_corrected: whether a person's work is.
        withdrawn: whether segments that a machine had accepted by other words are proposed again.
    """

    image: str
    file: str
    row: Entry | EncodedRow
    files: StagedFiles
    has_kept: bool
    is_corrected: bool
    withdrawn: bool


@dataclass(frozen=True)
class UnstagedImage:
    """An image that a worker could not label, and why."""

    record: ImageRecord
    message: str

    @property
    def image(self) -> str:
        """Return the image's name in the run."""
        return self.record.relative


@dataclass(frozen=True)
class LabelStager:
    """Stages labels in one run folder, in several threads; the journal is another one's.

    Attributes:
        files: the label files of the folder.
        extras: those beside them, which are written at once.
        embeddings: the shards that this worker, and no other, appends to.
        run: fingerprint of weights, words and options.
        refuse_moved: raises RunError where the folder is no longer the one that was opened.
        appending: held by the one thread that appends to the shards.
    """

    files: LabelFiles
    extras: ExtraFiles
    embeddings: EmbeddingShards
    run: str
    refuse_moved: Callable[[], None]
    appending: Lock = field(default_factory=Lock)

    def stage(
        self, order: WriteOrder, panoptic_map: PanopticMap, **facts: Unpack[LabelFacts]
    ) -> tuple[StagedLabels, PanopticMap]:
        """Stage a model's labels of an image, beside a person's segments; return what is written.

        ImageError: this image cannot be written. RunError: nor can others, or it has no valid name.
        """
        panoptic_map.check()
        record, file, last = order.record, order.file, order.last
        words, event = self.files.vocabulary.words_fingerprint, facts.get("event", "annotated")
        before = last.labels_among(words) if last is not None else None
        write = self.files.proposal(record, panoptic_map, before, file)
        self.extras.write(file, write.panoptic, before, record)
        self.extras.write_semantic(file, facts.get("semantic"))
        seen, kept = facts.get("embeddings"), facts.get("kept")
        with self.appending:
            key = self.embeddings.keep(seen, panoptic_map, write.panoptic, last)
        sha256, digest = facts.get("sha256"), kept_hash(kept) if kept is not None else None
        if event == "relabelled" and last is not None:
            sha256, digest = last.sha256, last.kept
        entry = Entry(
            event=event,
            image=record.relative,
            size=record.size,
            mtime_ns=record.mtime_ns,
            etag=record.etag,
            sha256=sha256,
            run=self.run,
            words=words,
            seconds=facts.get("seconds"),
            labels=write.labels,
            embeddings=key,
            kept=digest,
        )
        files = write.files if kept is None else {**write.files, kept_path(file): kept}
        self.refuse_moved()
        staged = stage_files(self.files.folder, files)
        labels = StagedLabels(
            image=record.relative,
            file=file,
            row=encode_row(entry),
            files=staged,
            has_kept=digest is not None,
            is_corrected=write.labels.proposed is not None,
            withdrawn=last is not None and before is not last.labels,
        )
        return labels, write.panoptic

    @classmethod
    def of_worker(cls, folder: Path, run: str) -> "LabelStager":
        """Return the stager of one of several workers in a folder that another program has open.

        RunError: this machine sees no such folder, or another one.

        Args:
            folder: of the run.
            run: fingerprint that the program works by.
        """
        refuse_no_run(folder)
        manifest = read_manifest(folder)
        if manifest.fingerprint != run:
            raise RunError(f"{folder}: is of other weights, words or options here")
        vocabulary, journal = manifest.vocabulary.vocabulary(), folder / JOURNAL
        with explained(journal):
            opened = journal.stat()
        return cls(
            LabelFiles(folder, vocabulary),
            ExtraFiles(folder, vocabulary, extra_formats_of(manifest)),
            EmbeddingShards(folder, own=True),
            run,
            partial(refuse_moved, opened, journal),
        )


class StagingFolder:
    """A run folder as a worker sees it: it stages labels, and its program commits them.

    Attributes:
        outcomes: what has become of the images so far; the program tells its run folder.
    """

    def __init__(self, stager: LabelStager, orders: Iterable[WriteOrder]) -> None:
        self._stager = stager
        self._orders = {order.record.relative: order for order in orders}
        self.outcomes: list[StagedLabels | UnstagedImage] = []

    def order(self, record: ImageRecord) -> WriteOrder:
        """Return what the program said of an image."""
        return self._orders[record.relative]

    def stage(
        self, order: WriteOrder, panoptic_map: PanopticMap, **facts: Unpack[LabelFacts]
    ) -> StagedLabels:
        """Stage a model's labels of an image; arguments and errors as of `RunFolder.stage`."""
        with image_at_fault(order.record):
            return self._stager.stage(order, panoptic_map, **facts)[0]

    def accept(self, staged: StagedLabels) -> None:
        """Note what the program shall commit."""
        self.outcomes.append(staged)

    def fail(self, record: ImageRecord, message: str) -> None:
        """Note that an image could not be labelled."""
        self.outcomes.append(UnstagedImage(record, message))
