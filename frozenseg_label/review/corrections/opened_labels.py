"""The labels as they stood when a review opened them, kept until its corrections are saved.

`review/KEY.png` is another name of the PNG that lay in `panoptic/` then (a hard link, so it takes
no room; a copy where the disk knows no links). A later run gives `panoptic/REL.png` new content;
what people did in the meantime can still be told from what the model did. The key is made of the
image's name and the content: the old file is there until FiftyOne shows the new labels, whenever a
program may be killed.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from frozenseg_label.files import atomic_write, explained, make_folder
from frozenseg_label.formats.coco_panoptic import decode_panoptic_png, png_name
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.journal_rows import Labels
from frozenseg_label.runs.layout import PANOPTIC
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

OPENED = "review"


def keep_opened(folder: Path, image: str, labels: Labels) -> bool:
    """Keep the labels of an image; returns whether they are the ones that lie there now."""
    source, kept = folder / PANOPTIC / png_name(image), _kept(folder, image, labels)
    if _is_file_of(kept, labels.current.png):
        return True
    if not _is_file_of(source, labels.current.png):
        return False
    with explained(kept):
        make_folder(kept.parent)
        kept.unlink(missing_ok=True)
        try:
            os.link(source, kept)
        except OSError:
            atomic_write(kept, source.read_bytes(), lasting=False)
    if _is_file_of(kept, labels.current.png):
        return True
    kept.unlink(missing_ok=True)
    return False


def forget_opened(folder: Path, image: str, labels: Labels, *, but: Labels) -> None:
    """Let kept labels go, unless the ones that are shown now have the same pixels."""
    if labels.current.png != but.current.png:
        with explained(folder / OPENED):
            _kept(folder, image, labels).unlink(missing_ok=True)


def read_opened(
    folder: Path, image: str, labels: Labels, vocabulary: Vocabulary
) -> PanopticMap | None:
    """The kept map, with the ids of this vocabulary; None where the file is not what it was.

    Args:
        labels: of the journal row that stood then.
    """
    current = folder / PANOPTIC / png_name(image)  # nothing may have changed since
    for path in (_kept(folder, image, labels), current):
        if _is_file_of(path, labels.current.png):
            ids = decode_panoptic_png(path.read_bytes(), f"{path}")
            return PanopticMap(ids, labels.current.segments(vocabulary))
    return None


def key_of(labels: Labels) -> str:
    """What tells labels from any others of the same image: pixels, classes and states."""
    return hashlib.sha256(labels.current.model_dump_json().encode()).hexdigest()[:32]


def labels_by_key(run: RunFolder, wanted: Mapping[str, str]) -> dict[str, Labels]:
    """The labels of images that had a certain key, from all rows of the journal.

    Args:
        wanted: the key, by image.
    """
    found = {}
    for image, key in wanted.items():
        entry = run.entry(image)
        if entry is not None and entry.labels is not None and key_of(entry.labels) == key:
            found[image] = entry.labels
    if len(found) < len(wanted):
        for entry in run.history():
            labels = entry.labels
            if labels is None or entry.image not in wanted or entry.image in found:
                continue
            if key_of(labels) == wanted[entry.image]:
                found[entry.image] = labels
    return found


def _kept(folder: Path, image: str, labels: Labels) -> Path:
    key = hashlib.sha256(os.fsencode(f"{image}\0{labels.current.png}")).hexdigest()
    return folder / OPENED / f"{key[:32]}.png"


def _is_file_of(path: Path, png: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == png
    except OSError:
        return False
