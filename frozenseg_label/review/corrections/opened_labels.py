"""The labels that a review opened, kept until its corrections are saved.

`review/KEY.png` is a second name of the PNG that was in `panoptic/` then (a hard link, so it takes
no room; a copy on a disk without links). A later run gives `panoptic/REL.png` new content; with the
kept file we can still tell what people did from what the model did. The key is made of the image's
name and the content: so the old file stays until FiftyOne shows the new labels, even if a program
is killed on the way.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.files import atomic_write, explained, make_folder, refuse_links
from frozenseg_label.formats.coco_panoptic import decode_panoptic_png
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.journal_rows import Labels
from frozenseg_label.runs.layout import OPENED, opened_path
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class OpenedLabels:
    """The labels of one image that a review opened; people's edits start from them.

    Attributes:
        panoptic: with the ids of `vocabulary`.
        labels: the journal's record of them.
        vocabulary: of the run.
    """

    panoptic: PanopticMap
    labels: Labels
    vocabulary: Vocabulary

    @property
    def last_id(self) -> int:
        """Return the highest id that a segment of the image ever had; 0 where none had one."""
        ids = [segment.id for segment in self.panoptic.segments]
        if self.labels.proposed is not None:
            ids += [info.id for info in self.labels.proposed.segments_info]
        return max(ids, default=0)


def keep_opened(run: RunReader, image: str, labels: Labels) -> OpenedLabels | None:
    """Keep the labels of an image and return them; None where their file has other content now."""
    source, kept = run.png(labels), _kept(run, image, labels)
    if not _has_content(kept, labels):
        if not _has_content(source, labels):
            return None
        refuse_links(run.path, f"{OPENED}/{kept.name}")
        with explained(kept):
            make_folder(kept.parent)
            kept.unlink(missing_ok=True)
            try:
                os.link(source, kept)
            except OSError:
                atomic_write(kept, source.read_bytes(), lasting=False)
        if not _has_content(kept, labels):
            kept.unlink(missing_ok=True)
            return None
    return read_opened(run, image, labels)


def read_opened(run: RunReader, image: str, labels: Labels | None) -> OpenedLabels | None:
    """Return labels that a review opened; None where no file has their content any more.

    Args:
        labels: that the App shows, by `places_by_key`; None where the journal does not know them.
    """
    if labels is None:
        return None
    for path in (_kept(run, image, labels), run.png(labels)):  # the second: they may still be there
        if _has_content(path, labels):
            ids = decode_panoptic_png(path.read_bytes(), f"{path}")
            panoptic = PanopticMap(ids, labels.current.segments(run.vocabulary))
            return OpenedLabels(panoptic, labels, run.vocabulary)
    return None


def forget_opened(run: RunReader, image: str, labels: Labels, *, but: Labels) -> None:
    """Delete kept labels, unless the ones that the App shows now (`but`) have the same pixels."""
    if labels.current.png != but.current.png:
        kept = _kept(run, image, labels)
        refuse_links(run.path, f"{OPENED}/{kept.name}")
        with explained(kept):
            kept.unlink(missing_ok=True)


def key_of(labels: Labels) -> str:
    """Return a key that differs for all labels of one image: by pixels, classes, states, notes."""
    dump = labels.current.model_dump_json(exclude={"size"})  # as before sizes were written
    return hashlib.sha256((dump + labels.note).encode()).hexdigest()[:32]


def places_by_key(run: RunReader, wanted: Mapping[str, str]) -> dict[str, RowPlace]:
    """Return the journal's rows of the labels of images that have a certain key, the last of each.

    Args:
        wanted: the key, by image.
    """
    return {
        entry.image: place
        for place, entry in (run.history() if wanted else ())
        if entry.image in wanted
        and entry.labels is not None
        and key_of(entry.labels) == wanted[entry.image]
    }


def labels_at(run: RunReader, places: Mapping[str, RowPlace], image: str) -> Labels | None:
    """Return the labels that `places_by_key` found of an image; None where it found none."""
    place = places.get(image)
    return None if place is None else run.row(place).labels


def _kept(run: RunReader, image: str, labels: Labels) -> Path:
    return run.path / opened_path(image, labels.current.png)


def _has_content(path: Path, labels: Labels) -> bool:
    """Return whether a file has the pixels of these labels."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == labels.current.png
    except OSError:
        return False
