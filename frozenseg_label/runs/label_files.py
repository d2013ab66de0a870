"""The PNG of an image and the journal's record of it, in both directions."""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from frozenseg_label.errors import FormatError, ImageError, RunError
from frozenseg_label.formats.coco_panoptic import decode_panoptic_png, encode_panoptic_png, png_name
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import ImageState, PanopticMap
from frozenseg_label.runs.journal_rows import Labels, StoredMap
from frozenseg_label.runs.ownership import RejectedSegment, fuse
from frozenseg_label.vocabulary import Vocabulary

PANOPTIC = "panoptic"
PROPOSED = "proposed"

# What the system says when a label file cannot have the name that its image asks for.
_NAME_ERRORS = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})


def store_map(panoptic_map: PanopticMap, vocabulary: Vocabulary) -> tuple[StoredMap, bytes]:
    """The record of a map, and the PNG file."""
    png = encode_panoptic_png(panoptic_map.ids)
    sha256 = hashlib.sha256(png).hexdigest()
    return StoredMap.of(sha256, panoptic_map.segments, vocabulary), png


def label_files(
    image: str,
    size: tuple[int, ...],
    current: tuple[StoredMap, bytes],
    proposed: tuple[StoredMap, bytes | None] | None,
    state: ImageState,
    rejected: tuple[RejectedSegment, ...],
) -> tuple[Labels, dict[str, bytes]]:
    """The journal's record of an image's labels, and the files to write: contents by path.

    Args:
        size: height and width.
        current, proposed: records and PNG files; None for a PNG that is there already.
    """
    stored, png = current
    files = {f"{PANOPTIC}/{png_name(image)}": png}
    if proposed is not None and proposed[1] is not None:
        files[f"{PROPOSED}/{png_name(image)}"] = proposed[1]
    labels = Labels(
        height=size[0],
        width=size[1],
        state=state,
        current=stored,
        proposed=proposed[0] if proposed is not None else None,
        rejected=rejected,
    )
    return labels, files


def proposal_files(
    folder: Path,
    record: ImageRecord,
    proposal: PanopticMap,
    before: Labels | None,
    vocabulary: Vocabulary,
) -> tuple[PanopticMap, Labels, dict[str, bytes]]:
    """The proposal beside a person's segments, and what `label_files` makes of it.

    Args:
        folder: of the run.
        before: the labels that it replaces; None where there are none.
    """
    stored = store_map(proposal, vocabulary)
    if before is None or not before.is_corrected():
        labels, files = label_files(record.relative, proposal.ids.shape, stored, None, "unseen", ())
        return proposal, labels, files
    fused = _beside_human_segments(folder, record, proposal, before, vocabulary)
    labels, files = label_files(
        record.relative,
        fused.ids.shape,
        store_map(fused, vocabulary),
        stored,
        "in review",  # even after "reviewed": proposals stand in the pixels left
        before.rejected,
    )
    return fused, labels, files


def correction_files(
    folder: Path,
    image: str,
    corrected: PanopticMap,
    rejected: tuple[RejectedSegment, ...],
    state: ImageState,
    before: Labels | None,
    vocabulary: Vocabulary,
) -> tuple[Labels, dict[str, bytes]]:
    """What `label_files` makes of a person's labels; the first ones put the model's map by.

    Args:
        folder: of the run.
        rejected: segments that this correction withdrew; those of earlier ones stay remembered.
        before: the labels that are corrected; None where there are none.
    """
    proposed: tuple[StoredMap, bytes | None] | None = None
    if before is not None and before.proposed is not None:
        proposed = before.proposed, None
    elif before is not None:
        proposed = before.current, load_png(folder, image, before.current)
    if before is not None:
        rejected = (*before.rejected, *rejected)
    stored = store_map(corrected, vocabulary)
    return label_files(image, corrected.ids.shape, stored, proposed, state, rejected)


def refuse_lost_classes(
    folder: Path, image: str, stored: StoredMap, vocabulary: Vocabulary
) -> None:
    """Raise RunError where a label is none of this vocabulary's."""
    if lost := stored.lost_classes(vocabulary):
        raise RunError(
            f"{folder / PANOPTIC / png_name(image)}: labelled with words that the vocabulary has "
            f"no more ({', '.join(sorted(lost))}); annotate the image again"
        )


def load_map(
    folder: Path, image: str, stored: StoredMap, vocabulary: Vocabulary, place: str = PANOPTIC
) -> PanopticMap:
    """The map that lies in `panoptic/` or `proposed/`, with the ids of this vocabulary.

    Segments of classes that the vocabulary has not are left out of the list, not of the pixels.
    """
    path = folder / place / png_name(image)
    ids = decode_panoptic_png(load_png(folder, image, stored, place), f"{path}")
    return PanopticMap(ids, stored.segments(vocabulary))


def load_png(folder: Path, image: str, stored: StoredMap, place: str = PANOPTIC) -> bytes:
    """The PNG file of a map; RunError unless it is the one that the journal names."""
    path = folder / place / png_name(image)
    try:
        png = path.read_bytes()
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else f"{error}"
        raise RunError(f"{path}: cannot be read, {reason}; restore the file") from error
    if hashlib.sha256(png).hexdigest() != stored.png:
        raise RunError(f"{path}: is not the file that the journal names; restore that one")
    return png


def _beside_human_segments(
    folder: Path,
    record: ImageRecord,
    proposal: PanopticMap,
    labels: Labels,
    vocabulary: Vocabulary,
) -> PanopticMap:
    """The proposal fused into the labels that a person corrected; ImageError if that cannot be."""
    height, width = proposal.ids.shape
    if (width, height) != (labels.width, labels.height):
        raise ImageError(
            f"{record.path}: is {width} x {height} now, and was {labels.width} x {labels.height} "
            "when a person corrected its labels; restore the image, or label it in another folder"
        )
    try:
        existing = load_map(folder, record.relative, labels.current, vocabulary)
    except (RunError, FormatError) as error:
        raise ImageError(f"{error} (it holds corrections of a person)") from error
    return fuse(proposal, existing, labels.rejected, vocabulary)


@contextmanager
def image_at_fault(record: ImageRecord) -> Iterator[None]:
    """Tell what only this image suffers (ImageError) from what stops the run (RunError)."""
    name = PurePosixPath(record.relative)
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise ValueError(f"an image's name must be a relative path, got {record.relative!r}")
    try:
        yield
    except RunError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _NAME_ERRORS:
            raise ImageError(
                f"{record.path}: no label file can be named after it "
                f"({(cause.strerror or '').lower()}); rename the image"
            ) from error
        raise
