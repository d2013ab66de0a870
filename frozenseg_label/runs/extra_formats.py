"""What is written beside COCO panoptic: files made from an image's panoptic map, semantic maps."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.files import atomic_write, explained
from frozenseg_label.formats.class_png import (
    CLASSES_FILE,
    class_png_files,
    classes_file,
    encode_class_png,
    per_class_png_files,
    per_class_png_path,
)
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.commit import files_in
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.layout import (
    CLASS_PNG,
    PER_CLASS_PNG,
    SEMANTIC,
    refuse_links,
)
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.vocabulary import Vocabulary

ExtraFormat = Literal["class-png", "per-class-png"]

FilesOf = Callable[[str, PanopticMap, Vocabulary], Iterator[tuple[str, bytes]]]

_FILES_OF: dict[ExtraFormat, FilesOf] = {
    "class-png": class_png_files,
    "per-class-png": per_class_png_files,
}


def extra_formats_of(manifest: Manifest) -> tuple[ExtraFormat, ...]:
    """Return the formats that the manifest's command was asked for."""
    asked = manifest.arguments.get("formats")
    return tuple(name for name in _FILES_OF if isinstance(asked, list) and name in asked)


@dataclass(frozen=True)
class ExtraFiles:
    """The extra files of a run folder.

    Attributes:
        folder: of the run.
        formats: those that are asked for. Files of other formats vanish once they are no longer
            true.
    """

    folder: Path
    vocabulary: Vocabulary
    formats: tuple[ExtraFormat, ...]

    def write(self, file: str, panoptic_map: PanopticMap, before: Labels | None) -> None:
        """Write an image's files.

        Args:
            file: of the labels, below `panoptic/`.
            before: the labels that the map replaces.
        """
        written = set()
        for name in self.formats:
            for below, data in _FILES_OF[name](file, panoptic_map, self.vocabulary):
                path = f"{name}/{below}"
                refuse_links(self.folder, path)
                atomic_write(self.folder / path, data, lasting=False)
                written.add(path)
        for path in _paths(before, tuple(_FILES_OF)) - written if before else ():
            self._remove(path)

    def write_semantic(self, file: str, indices: NDArray[np.integer] | None) -> None:
        """Write the semantic map, category indices 0..K-1 [H, W]; None removes an earlier one."""
        path = f"{SEMANTIC}/{file}"
        if indices is None:
            self._remove(path)
        else:
            png = encode_class_png(indices + 1, self.vocabulary)
            atomic_write(self.folder / path, png, lasting=False)

    def lacking(self, entries: Iterable[Entry]) -> Iterator[Labels]:
        """Yield the labels of which a file is missing."""
        if not self.formats:
            return
        there = {f"{name}/{path}" for name in self.formats for path in files_in(self.folder / name)}
        for entry in entries:
            labels = entry.labels
            if labels is None or labels.current.lost_classes(self.vocabulary):
                continue
            if _paths(labels, self.formats) - there:
                yield labels

    def write_classes_file(self) -> None:
        """Write `classes.json` beside folders of class PNGs, unless it says the same already.

        Some readers take every file in a folder of class PNGs for one of them.
        """
        folders = [self.folder / name for name in (CLASS_PNG, SEMANTIC)]
        path, content = self.folder / CLASSES_FILE, classes_file(self.vocabulary)
        if not any(folder.is_dir() for folder in folders):
            return
        if not (path.exists() and path.read_bytes() == content):
            refuse_links(self.folder, CLASSES_FILE)
            atomic_write(path, content)
        for name in (CLASS_PNG, SEMANTIC):  # where earlier versions had it
            self._remove(f"{name}/{CLASSES_FILE}")

    def _remove(self, path: str) -> None:
        with explained(self.folder / path):
            (self.folder / path).unlink(missing_ok=True)


def _paths(labels: Labels, formats: Sequence[ExtraFormat]) -> set[str]:
    """Return where the files of an image with these labels are."""
    paths = {f"{CLASS_PNG}/{labels.file}"} if CLASS_PNG in formats else set()
    if PER_CLASS_PNG in formats:
        names = labels.current.class_names()
        paths |= {f"{PER_CLASS_PNG}/{per_class_png_path(labels.file, name)}" for name in names}
    return paths
