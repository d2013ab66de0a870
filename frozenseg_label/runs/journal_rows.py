"""One line of the journal: what happened to one image, and its labels from then on."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from frozenseg_label.formats.coco_panoptic import SegmentInfo, segment_row
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import OWNED_STATES, BBox, ImageState, Segment
from frozenseg_label.runs.layout import checked_name, long_png_name
from frozenseg_label.runs.ownership import RejectedSegment
from frozenseg_label.vocabulary import Vocabulary, same_name

# "calibrated": a rule accepted segments, or took this back; pixels stay as they are.
Event = Literal["annotated", "relabelled", "failed", "reviewed", "imported", "calibrated"]
MADE_BY_A_RUN: tuple[Event, ...] = ("annotated", "relabelled")

PathBelow = Annotated[str, AfterValidator(checked_name)]


class StoredSegment(SegmentInfo):
    """An entry of `segments_info` as we write it: nothing is left to look up."""

    area: int
    bbox: BBox
    isthing: bool


class StoredMap(BaseModel):
    """A panoptic map whose pixels are in a PNG.

    Attributes:
        png: SHA-256 (hex) of the PNG file.
        size: of the PNG file, bytes; None in rows of earlier versions.
        segments_info: of each id in the PNG.
        names: of the category ids used here. Names are what lasts when the vocabulary changes.
    """

    model_config = ConfigDict(frozen=True)
    png: str
    size: int | None = Field(default=None, ge=0)
    segments_info: tuple[StoredSegment, ...]
    names: dict[int, str]

    @model_validator(mode="after")
    def _names_are_there(self) -> Self:
        used = {info.category_id for info in self.segments_info}
        used |= {info.second for info in self.segments_info if info.second is not None}
        if lost := used - self.names.keys():
            raise ValueError(f"no name of the categories {sorted(lost)}")
        return self

    @classmethod
    def of(cls, png: bytes, segments: Sequence[Segment], vocabulary: Vocabulary) -> "StoredMap":
        """Return the record of a map in a PNG file whose segments are of this vocabulary."""
        used = {segment.category_id for segment in segments}
        used |= {segment.second for segment in segments if segment.second is not None}
        return cls(
            png=hashlib.sha256(png).hexdigest(),
            size=len(png),
            segments_info=tuple(
                StoredSegment.model_validate(segment_row(segment)) for segment in segments
            ),
            names={id_: vocabulary.by_id(id_).name for id_ in sorted(used)},
        )

    def class_names(self) -> set[str]:
        """Return names of the classes that occur."""
        return {self.names[info.category_id] for info in self.segments_info}

    def lost_classes(self, vocabulary: Vocabulary) -> set[str]:
        """Return names of the classes that occur here and are missing from the vocabulary."""
        known = vocabulary.ids_by_any_name
        return {name for name in self.class_names() if same_name(name) not in known}

    def segments(self, vocabulary: Vocabulary) -> tuple[Segment, ...]:
        """Return the segments with the ids of this vocabulary, those of lost classes left out.

        A class that is a synonym of another one now has become part of it.
        """
        # The names of one image are few, the vocabulary's may be thousands.
        known = vocabulary.ids_by_any_name
        ids = {id_: known.get(same_name(name)) for id_, name in self.names.items()}
        segments = []
        for info in self.segments_info:
            category_id = ids[info.category_id]
            if category_id is not None:
                is_thing = vocabulary.by_id(category_id).is_thing
                segment = info.segment(is_thing, info.area, info.bbox)
                second = None if info.second is None else ids[info.second]
                segments.append(replace(segment, category_id=category_id, second=second))
        return tuple(segments)


class Labels(BaseModel):
    """What is known of the pixels of one image.

    Attributes:
        file: the PNGs' path in the folders of the run (`panoptic/`, ...). It stays as it is.
        width, height: of the image, in pixels.
        state: how far a person has looked at it.
        current: the present labels, in `panoptic/`.
        proposed: the model's own map, in `proposed/`; None until a person corrects the image.
        rejected: proposals that a person refused.
        note: what a person wrote about the image; empty: nothing.
    """

    model_config = ConfigDict(frozen=True)
    file: PathBelow
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    state: ImageState
    current: StoredMap
    proposed: StoredMap | None = None
    rejected: tuple[RejectedSegment, ...] = ()
    note: str = Field(default="", exclude_if=lambda note: not note)

    def lost_classes_of_people(self, vocabulary: Vocabulary) -> set[str]:
        """Return names of the classes of a person's segments that the vocabulary lacks."""
        infos = [info for info in self._owned() if info.accepted_by is None]
        names = {self.current.names[info.category_id] for info in infos}
        return {name for name in names if same_name(name) not in vocabulary.ids_by_any_name}

    def machine_accepted(self) -> set[int]:
        """Return ids of the segments that a rule accepted."""
        return {info.id for info in self.current.segments_info if info.accepted_by is not None}

    def settled(self, ids: Collection[int], rule: str | None) -> Self:
        """Return them with segments that a rule accepted, or, with None, proposed once more."""
        state = {"state": "accepted" if rule else "proposed", "accepted_by": rule}
        infos = tuple(
            info.model_copy(update=state) if info.id in ids else info
            for info in self.current.segments_info
        )
        current = self.current.model_copy(update={"segments_info": infos})
        return self.model_copy(update={"current": current})

    def is_corrected(self) -> bool:
        """Return whether a person has done anything here that a later run must not undo."""
        return bool(self.state != "unseen" or self.rejected or self.proposed or self._owned())

    def _owned(self) -> list[StoredSegment]:
        return [info for info in self.current.segments_info if info.state in OWNED_STATES]


class Entry(BaseModel):
    """One event of one image.

    Attributes:
        event: what happened.
        image: path relative to the images' folder, with `/`; the image's identity.
        size, mtime_ns, etag: of the image file, as in `ImageRecord`.
        sha256: of the image file; None unless `--checksum` was given.
        time: when, UTC.
        run: fingerprint of the weights, words and options that proposed the labels; None where no
            model did.
        words: `Vocabulary.words_fingerprint` of the words that proposed them; None likewise, and in
            rows of earlier versions.
        seconds: that the image took; None where nobody timed it.
        origin: where imported labels came from; None for other events.
        user: who reviewed it, as `review --user` said; None: nobody said.
        message: why it failed; None where it did not.
        labels: after the event. A failure keeps the labels of before; None: there are none.
        embeddings: key of what CLIP saw of these labels (`runs/embeddings.py`); None: not kept.
        kept: SHA-256 (hex) of the file of proposals below `kept/`; None: none are kept.
    """

    model_config = ConfigDict(frozen=True)
    event: Event
    image: PathBelow
    size: int
    mtime_ns: int
    etag: str | None = Field(default=None, exclude_if=lambda etag: etag is None)
    sha256: str | None = None
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    run: str | None = None
    words: str | None = None
    seconds: float | None = None
    origin: str | None = None
    user: str | None = Field(default=None, exclude_if=lambda user: user is None)
    message: str | None = None
    labels: Labels | None = None
    embeddings: str | None = None
    kept: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_the_file(cls, row: Any) -> Any:  # noqa: ANN401 - whatever a line holds
        """Return the row with the name that the PNG has where an earlier version named none."""
        labels = row.get("labels") if isinstance(row, dict) else None
        if not isinstance(labels, dict) or "file" in labels:
            return row
        return row | {"labels": labels | {"file": long_png_name(str(row.get("image")))}}

    @classmethod
    def of_correction(
        cls,
        event: Event,
        record: ImageRecord,
        last: "Entry | None",
        labels: Labels,
        origin: str | None,
        user: str | None = None,
    ) -> "Entry":
        """Return the row of a person's labels.

        Args:
            last: row of the image: the person corrected the file that was labelled, not the one
                that is there now.
            user: name of the person.
        """
        seen = record if last is None else last
        return cls(
            event=event,
            image=record.relative,
            size=seen.size,
            mtime_ns=seen.mtime_ns,
            etag=seen.etag,
            sha256=None if last is None else last.sha256,
            run=None if last is None else last.run,
            words=None if last is None else last.words,
            origin=origin,
            user=user,
            labels=labels,
            embeddings=None if last is None else last.embeddings,
            kept=None if last is None else last.kept,
        )

    @classmethod
    def of_failure(cls, record: ImageRecord, last: "Entry | None", message: str) -> "Entry":
        """Return the row of an image that could not be labelled; it keeps the labels of `last`."""
        return cls(
            event="failed",
            image=record.relative,
            size=record.size,
            mtime_ns=record.mtime_ns,
            etag=record.etag,
            message=message,
            words=last.words if last is not None else None,
            labels=last.labels if last is not None else None,
            embeddings=last.embeddings if last is not None else None,
            kept=last.kept if last is not None else None,
        )

    def labels_among(self, words: str) -> Labels | None:
        """Return the labels as new proposals by these words meet them.

        A machine accepts a class among other classes: other words take its reason away. Other
        weights and a memory do not, for the segment is still the one that was promised to be right.

        Args:
            words: as in the attribute.
        """
        ids = self.labels.machine_accepted() if self.labels and self.words != words else set()
        return self.labels.settled(ids, None) if self.labels and ids else self.labels

    def is_failure_of(self, record: ImageRecord, message: str) -> bool:
        """Return whether this says that the very same file failed for the very same reason."""
        same = (self.size, self.mtime_ns, self.etag) == (record.size, record.mtime_ns, record.etag)
        return same and (self.event, self.message) == ("failed", message)
