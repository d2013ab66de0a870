"""What is written beside COCO panoptic: files made from an image's panoptic map, semantic maps."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.decoding import decode_image
from frozenseg_label.errors import ImageError
from frozenseg_label.files import atomic_write, refuse_links
from frozenseg_label.formats.class_png import (
    CLASSES_FILE,
    class_png_files,
    classes_file,
    encode_class_png,
    per_class_png_files,
    per_class_png_path,
)
from frozenseg_label.formats.overlay import overlay_file, overlay_path
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.commit import files_in, remove_file
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.layout import (
    CLASS_PNG,
    OVERLAY,
    PER_CLASS_PNG,
    SEMANTIC,
)
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.vocabulary import Vocabulary

ExtraFormat = Literal["class-png", "per-class-png", "overlay"]
_FORMATS: tuple[ExtraFormat, ...] = get_args(ExtraFormat)

log = logging.getLogger(__name__)

FilesOf = Callable[[str, PanopticMap, Vocabulary], Iterator[tuple[str, bytes]]]

# From the map; an overlay needs the picture, too.
_FILES_OF: dict[ExtraFormat, FilesOf] = {
    "class-png": class_png_files,
    "per-class-png": per_class_png_files,
}


def extra_formats_of(manifest: Manifest) -> tuple[ExtraFormat, ...]:
    """Return the formats that the manifest's command was asked for."""
    asked = manifest.arguments.get("formats")
    return tuple(name for name in _FORMATS if isinstance(asked, list) and name in asked)


@dataclass(frozen=True)
class ExtraFiles:
    """The extra files of a run folder.

    Attributes:
        folder: of the run.
        formats: those that are asked for. Files of other formats vanish once they are no longer
            true.
        undrawn: why pictures got no overlay, until `report_undrawn`.
    """

    folder: Path
    vocabulary: Vocabulary
    formats: tuple[ExtraFormat, ...]
    undrawn: list[str] = field(default_factory=list)

    def write(
        self,
        file: str,
        panoptic_map: PanopticMap,
        before: Labels | None,
        record: ImageRecord,
    ) -> None:
        """Write an image's files.

        Args:
            file: of the labels, below `panoptic/`.
            before: the labels that the map replaces.
            record: the image, for formats that show it.
        """
        written = set()
        for path, data in self._made(file, panoptic_map, record):
            refuse_links(self.folder, path)
            atomic_write(self.folder / path, data, lasting=False)
            written.add(path)
        there = [name for name in _FORMATS if (self.folder / name).is_dir()]
        for path in _paths(before, there) - written if before else ():
            remove_file(self.folder, path)

    def remove(self, labels: Labels) -> None:
        """Remove an image's files that were made of some labels, whatever their format."""
        for path in _paths(labels, _FORMATS):
            remove_file(self.folder, path)

    def _made(
        self, file: str, panoptic_map: PanopticMap, record: ImageRecord
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the files that are asked for: path in the run folder, and content."""
        for name in self.formats:
            if name != OVERLAY:
                for below, data in _FILES_OF[name](file, panoptic_map, self.vocabulary):
                    yield f"{name}/{below}", data
                continue
            try:
                pixels = decode_image(record)
            except ImageError as error:
                self.undrawn.append(f"{error}")
                continue
            if pixels.shape[:2] != panoptic_map.ids.shape:
                self.undrawn.append(f"{record.path}: is of another size than its labels")
                continue
            drawn = overlay_file(pixels, panoptic_map, self.vocabulary)
            yield f"{OVERLAY}/{overlay_path(file)}", drawn

    def report_undrawn(self) -> None:
        """Say once how many overlays are missing, and why."""
        if self.undrawn:
            log.warning(
                "%d overlays were not drawn, because their pictures cannot be read; the first: %s",
                len(self.undrawn),
                self.undrawn[0],
            )
            self.undrawn.clear()

    def write_semantic(self, file: str, indices: NDArray[np.integer] | None) -> None:
        """Write the semantic map, category indices 0..K-1 [H, W]; None removes an earlier one."""
        path = f"{SEMANTIC}/{file}"
        if indices is None:
            remove_file(self.folder, path)
        else:
            png = encode_class_png(indices + 1, self.vocabulary)
            refuse_links(self.folder, path)
            atomic_write(self.folder / path, png, lasting=False)

    def lacking(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Labels]]:
        """Yield the images, with their labels, of which a file is missing."""
        if not self.formats:
            return
        there = {f"{name}/{path}" for name in self.formats for path in files_in(self.folder / name)}
        for entry in entries:
            labels = entry.labels
            if labels is None or labels.current.lost_classes(self.vocabulary):
                continue
            if _paths(labels, self.formats) - there:
                yield entry, labels

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
            remove_file(self.folder, f"{name}/{CLASSES_FILE}")


def _paths(labels: Labels, formats: Sequence[ExtraFormat]) -> set[str]:
    """Return where the files of an image with these labels are."""
    paths = {f"{CLASS_PNG}/{labels.file}"} if CLASS_PNG in formats else set()
    if OVERLAY in formats:
        paths.add(f"{OVERLAY}/{overlay_path(labels.file)}")
    if PER_CLASS_PNG in formats:
        names = labels.current.class_names()
        paths |= {f"{PER_CLASS_PNG}/{per_class_png_path(labels.file, name)}" for name in names}
    return paths
