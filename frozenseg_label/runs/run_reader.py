"""A run folder to read from: its images, their labels, and where things are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from frozenseg_label.addresses import Address, place_of
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.commit import lacks_files
from frozenseg_label.runs.embeddings import EmbeddingShards, ImageEmbeddings
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.kept_files import read_kept
from frozenseg_label.runs.label_files import LabelFiles
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.opening import open_to_read
from frozenseg_label.runs.plan import Plan, make_plan


class RunReader:
    """The labels in a run folder; `read` opens one.

    Attributes:
        path: of the folder.
        manifest: what `run.json` says.
        vocabulary: the manifest's.
    """

    def __init__(self, path: Path, manifest: Manifest, journal: Journal) -> None:
        self.path = path
        self.manifest = manifest
        self.vocabulary = manifest.vocabulary.vocabulary()
        self._journal = journal
        self._files = LabelFiles(path, self.vocabulary)
        self._embeddings = EmbeddingShards(path)

    @classmethod
    @contextmanager
    def read(cls, path: str | Path) -> Iterator[Self]:
        """Yield the folder as it is now, to read from it; another program may be writing to it.

        Example:
            >>> with frozenseg_label.RunFolder.read("labels") as run:
            ...     for entry in run.entries():
            ...         print(entry.image, run.read_map(entry.image).ids.shape)
            demo-0000.png (96, 96)
            demo-0001.png (96, 96)
        """
        folder = Path(path)
        manifest, journal = open_to_read(folder)
        try:
            yield cls(folder, manifest, journal)
        finally:
            journal.close()

    @property
    def root(self) -> Path | Address | None:
        """Return the folder or the address that the images' names are relative to, if known."""
        return place_of(self.manifest.root) if self.manifest.root is not None else None

    @property
    def keeps_proposals(self) -> bool:
        """Return whether a row names kept proposals of any image."""
        return any(known.has_kept for known in self._journal.known.values())

    def entries(self) -> Iterator[Entry]:
        """Yield the last journal row of each image, in the order in which the images first came."""
        return self._journal.entries()

    def entry(self, relative: str) -> Entry | None:
        """Return the last journal row of an image; None if it never came."""
        return self._journal.last(relative)

    def picture(self, image: str) -> Path | None:
        """Return where the picture of an image is; None where the run knows no folder of it."""
        return root / image if isinstance(root := self.root, Path) else None

    def png(self, labels: Labels, *, proposed: bool = False) -> Path:
        """Return where the panoptic PNG of an image is.

        Args:
            proposed: the PNG of the model's own map, not of the present labels.
        """
        return self._files.path(labels, proposed=proposed)

    def record(self, entry: Entry) -> ImageRecord:
        """Return the image file that was labelled, as it was then."""
        path = self.root / entry.image if self.root is not None else Path(entry.image)
        return ImageRecord(path, entry.image, entry.size, entry.mtime_ns, entry.etag)

    def history(self) -> Iterator[tuple[RowPlace, Entry]]:
        """Yield all journal rows and their places, the oldest first.

        Only the last of an image has its PNGs.
        """
        return self._journal.rows()

    def row(self, place: RowPlace) -> Entry:
        """Return the journal row at a place that `history` told."""
        return self._journal.row(place)

    def read_embeddings(self, entry: Entry) -> ImageEmbeddings | None:
        """Return what CLIP saw of an image, by segment id; None where that was not kept."""
        return self._embeddings.read(entry.embeddings)

    def plan_relabel(self, *, semantic: bool) -> Plan:
        """Return what is labelled as the manifest says and what is not; no picture is looked at.

        Images without labels are in neither.

        Args:
            semantic: images without a semantic map are to do, too.
        """
        known = self._journal.known
        records = [self.record(entry) for entry in self.entries() if entry.labels is not None]
        names = (record.relative for record in records)
        missing = {
            name
            for name in names
            if lacks_files(self.path, known[name], semantic=semantic, kept=False)
        }
        return make_plan(records, known, self.manifest.fingerprint, missing, checksum=False)

    def read_kept(self, entry: Entry) -> bytes:
        """Return the content of the file of proposals of an image.

        FormatError: there is none, it cannot be read, or is not the file whose hash was recorded.
        """
        return read_kept(self.path, entry)

    def read_map(self, relative: str) -> PanopticMap:
        """Return the present labels of an image."""
        labels = self._labels(relative)
        if labels is None:
            raise ValueError(f"{self.path} has no labels of an image {relative!r}")
        self._files.refuse_lost_classes(labels)
        return self._files.read(labels)

    def read_proposed(self, relative: str) -> PanopticMap:
        """Return the model's own map of an image; where nobody changed it, the present labels."""
        labels = self._labels(relative)
        if labels is None or labels.proposed is None:
            return self.read_map(relative)
        return self._files.read(labels, proposed=True)

    def _labels(self, relative: str) -> Labels | None:
        entry = self._journal.last(relative)
        return entry.labels if entry is not None else None
