"""What is written for one image: its PNGs, and the journal's record of them, in both directions."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.errors import FormatError, ImageError, RunError
from frozenseg_label.formats.coco_panoptic import (
    encode_panoptic_png,
    read_label_png,
    read_panoptic_png,
)
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import ImageState, PanopticMap
from frozenseg_label.runs.journal_rows import Labels, StoredMap
from frozenseg_label.runs.layout import PANOPTIC, PROPOSED, checked_name, staged_path
from frozenseg_label.runs.ownership import RejectedSegment, fuse, withdraw_rejected
from frozenseg_label.vocabulary import Vocabulary

# What the system says when a label file cannot have the name that its image asks for.
_NAME_ERRORS = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})


@dataclass(frozen=True)
class LabelWrite:
    """All that one event writes of one image: the files are staged, then a journal row commits.

    Attributes:
        panoptic: the labels from now on.
        labels: the journal's record of them.
        files: contents by path in the run folder.
    """

    panoptic: PanopticMap
    labels: Labels
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class LabelFiles:
    """The label files of one run folder.

    Attributes:
        folder: of the run.
        vocabulary: of the run.
    """

    folder: Path
    vocabulary: Vocabulary

    def proposal(
        self, record: ImageRecord, proposal: PanopticMap, before: Labels | None, file: str
    ) -> LabelWrite:
        """Return what a model's labels write: the proposal, beside the segments of a person.

        ImageError: the labels of a person cannot be read, or are of another size.

        Args:
            before: the labels that it replaces; None where there are none.
            file: of the labels, below `panoptic/`.
        """
        if before is None or not before.is_corrected():
            return self._write(file, proposal, "unseen")
        fused = self._beside_human_segments(record, proposal, before)
        # "In review" even after "reviewed": proposals fill the pixels that were left. "Unseen" if
        # only a machine accepted segments.
        state: ImageState = "unseen" if before.state == "unseen" else "in review"
        own = self._encoded(proposal)
        return self._write(file, fused, state, own, before.rejected, before.note)

    def correction(
        self,
        corrected: PanopticMap,
        state: ImageState,
        before: Labels | None,
        file: str,
        note: str | None = None,
    ) -> LabelWrite:
        """Return what a person's labels write; the first ones put the model's map aside.

        Args:
            corrected: rejected segments still have their pixels; they become void.
            before: the labels that are corrected; None where there are none.
            file: of the labels, below `panoptic/`.
            note: about the image; None: the one of before stays.
        """
        kept, rejected = withdraw_rejected(corrected, self.vocabulary)
        if before is None:
            return self._write(file, kept, state, rejected=rejected, note=note or "")
        if before.proposed is None:
            path = self.path(before)
            own = _Stored(before.current, read_label_png(path, before.current.png))
        else:
            own = _Stored(before.proposed, png=None)
        note = before.note if note is None else note
        return self._write(file, kept, state, own, (*before.rejected, *rejected), note)

    def path(self, labels: Labels, *, proposed: bool = False) -> Path:
        """Return where the PNG of labels is; after a kill it may still have its staged name.

        Args:
            proposed: the model's own map, not the present labels.
        """
        kind, stored = (PROPOSED, labels.proposed) if proposed else (PANOPTIC, labels.current)
        path = self.folder / kind / labels.file
        if stored is None:
            return path
        staged = staged_path(self.folder, f"{kind}/{labels.file}", stored.png)
        try:
            is_whole = staged.stat().st_size == stored.size
        except OSError:
            return path
        return staged if is_whole else path

    def read(self, labels: Labels, *, proposed: bool = False) -> PanopticMap:
        """Return the present map, or the model's own, with the ids of this vocabulary.

        Segments of classes that the vocabulary does not have are missing from the list, not from
        the pixels. FormatError: it is not the file whose hash was recorded.

        Args:
            proposed: the model's own; where nobody changed it, it is the present one.
        """
        proposed = proposed and labels.proposed is not None
        stored = labels.proposed if proposed and labels.proposed else labels.current
        ids = read_panoptic_png(self.path(labels, proposed=proposed), stored.png)
        return PanopticMap(ids, stored.segments(self.vocabulary))

    def refuse_lost_classes(self, labels: Labels) -> None:
        """Raise RunError where a class of the labels is not in this vocabulary."""
        if lost := labels.current.lost_classes(self.vocabulary):
            raise RunError(
                f"{self.path(labels)}: labelled with words that the vocabulary no longer has "
                f"({', '.join(sorted(lost))}); annotate the image again"
            )

    def _beside_human_segments(
        self, record: ImageRecord, proposal: PanopticMap, before: Labels
    ) -> PanopticMap:
        height, width = proposal.ids.shape
        if (width, height) != (before.width, before.height):
            raise ImageError(
                f"{record.path}: is {width} x {height} now, and was {before.width} x "
                f"{before.height} when a person corrected its labels; restore the image, or label "
                "it in another folder"
            )
        try:
            existing = self.read(before)
        except FormatError as error:
            raise ImageError(f"{error} (it holds corrections of a person)") from error
        return fuse(proposal, existing, before.rejected, self.vocabulary)

    def _encoded(self, panoptic_map: PanopticMap) -> "_Stored":
        png = encode_panoptic_png(panoptic_map.ids)
        return _Stored(StoredMap.of(png, panoptic_map.segments, self.vocabulary), png)

    def _write(
        self,
        file: str,
        panoptic_map: PanopticMap,
        state: ImageState,
        own: "_Stored | None" = None,
        rejected: tuple[RejectedSegment, ...] = (),
        note: str = "",
    ) -> LabelWrite:
        """Return the write of a map; `own`: the model's map that goes to `proposed/`."""
        current = self._encoded(panoptic_map)
        pngs = {PANOPTIC: current.png, PROPOSED: own.png if own is not None else None}
        labels = Labels(
            file=file,
            height=panoptic_map.ids.shape[0],
            width=panoptic_map.ids.shape[1],
            state=state,
            current=current.record,
            proposed=own.record if own is not None else None,
            rejected=rejected,
            note=note,
        )
        files = {f"{kind}/{file}": png for kind, png in pngs.items() if png is not None}
        return LabelWrite(panoptic_map, labels, files)


@dataclass(frozen=True)
class _Stored:
    """The record of a map and its PNG file; None where the file is there already."""

    record: StoredMap
    png: bytes | None


@contextmanager
def image_at_fault(record: ImageRecord) -> Iterator[None]:
    """Turn a RunError that concerns only this image into an ImageError; others stop the run."""
    checked_name(record.relative)
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
