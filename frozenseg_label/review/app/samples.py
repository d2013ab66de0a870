"""One image in FiftyOne: a sample made of its labels, and what the App shows of it now."""

import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozenseg_label.panoptic import State
from frozenseg_label.part import lot_of
from frozenseg_label.review.app.segment_documents import (
    SEGMENTS,
    Document,
    segment_document,
    segments_document,
)
from frozenseg_label.review.corrections.opened_labels import (
    OpenedLabels,
    forget_opened,
    keep_opened,
    key_of,
)
from frozenseg_label.review.corrections.regions import TAGS, Region, ShownImage
from frozenseg_label.review.queue.review_queue import QueuedImage, QueuedSegment
from frozenseg_label.runs.journal_rows import Labels
from frozenseg_label.runs.run_reader import RunReader

if TYPE_CHECKING:
    import fiftyone as fo

# Shown in colours of their own; a save passes over them, as over all tags but `regions.TAGS`.
EDITED_TAG = "edited"  # by one of our buttons, and not saved yet
SAVED_TAGS: dict[State, str] = {"accepted": "saved-accepted", "edited": "saved-edited"}
CHANGING = "its labels are being written just now, or are not the ones that the journal names"


def declare_fields(dataset: "fo.Dataset") -> None:
    """Give a dataset all fields that samples and segments have here; what is there stays."""
    import fiftyone as fo

    kinds: dict[Any, tuple[str, ...]] = {
        fo.StringField: ("image", "opened", "state", "note", "reviewer"),
        fo.IntField: ("lot", "refused"),
        fo.FloatField: ("gain", "unlabelled"),
    }
    _declare(dataset, {name: kind for kind, names in kinds.items() for name in names})
    declare_segments(dataset)
    _declare(dataset, {f"{SEGMENTS}.detections.was": fo.StringField})  # class in the run
    for field in ("image", "gain", "unlabelled", "last_modified_at"):  # the last: show_anew.js
        dataset.create_index(field)


def declare_segments(dataset: "fo.Dataset") -> None:
    """Give a dataset the field of segments, with all that is said of one."""
    import fiftyone as fo

    dataset.add_sample_field(SEGMENTS, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    kinds: dict[Any, tuple[str, ...]] = {
        fo.StringField: ("state", "second", "source", "note"),
        fo.IntField: ("segment_id", "area"),
        fo.BooleanField: ("changed",),
        fo.FloatField: ("gain", "margin", "disagreement", "contested", "sam_disagreement"),
    }
    kind_of = {name: kind for kind, names in kinds.items() for name in names}
    names = sorted(kind_of, key=_order)  # the label schema refuses a field that none has yet
    _declare(dataset, {f"{SEGMENTS}.detections.{name}": kind_of[name] for name in names})


def _declare(dataset: "fo.Dataset", kinds: Mapping[str, Any]) -> None:
    """Give a dataset fields, by path.

    All at once: FiftyOne's `add_sample_field` reads and writes the whole dataset's description for
    each, which took five times as long.
    """
    from fiftyone.core.odm import create_field

    fields = {path: create_field(path.rpartition(".")[2], kind) for path, kind in kinds.items()}
    dataset._merge_sample_field_schema(fields)


def _order(name: str) -> int:
    """Return the place of a fact among those at the left of the App; the others come last."""
    first = ("state", "gain", "second", "margin", "note")
    return first.index(name) if name in first else len(first)


def samples_of(
    run: RunReader, queue: Iterable[QueuedImage], left_out: dict[str, str]
) -> Iterator[tuple["fo.Sample", list[Document]]]:
    """Yield samples of images, and the segments of each.

    Args:
        left_out: gets the images that cannot be shown, with the reason.
    """
    import fiftyone as fo

    for queued in queue:
        path = run.picture(queued.image)
        if path is None:
            left_out[queued.image] = f"its picture is in no folder, the run says {run.root}"
            continue
        try:
            f"{path}".encode()
        except UnicodeEncodeError:
            left_out[queued.image] = "its name is not Unicode, which FiftyOne needs"
            continue
        if not path.exists():
            left_out[queued.image] = f"there is no {path}"
            continue
        opened = keep_opened(run, queued.image, queued.labels)
        if opened is None:
            left_out[queued.image] = CHANGING
            continue
        sample = fo.Sample(filepath=f"{path}", **_fields(queued, opened, path))
        yield sample, _segments(queued, opened)


def reload_image(
    run: RunReader, sample: "fo.Sample", queued: QueuedImage, then: Labels | None
) -> bool:
    """Let a sample show the present labels of the run folder; returns whether it does.

    Segments that are where they were keep the ids that FiftyOne gave them; views and similarity
    use these ids.

    Args:
        then: the labels that it shows; None where the journal does not know them.
    """
    import fiftyone as fo

    opened = keep_opened(run, queued.image, queued.labels)
    if opened is None:
        return False
    shown = sample[SEGMENTS].detections if sample[SEGMENTS] else []
    ids = {_place(detection): detection.id for detection in shown}
    segments = fo.Detections.from_dict(segments_document(_segments(queued, opened)))
    for detection in segments.detections:
        detection.id = ids.pop(_place(detection), detection.id)
    # A new box without a mask says nothing about pixels, so we leave it to the person who drew it.
    boxes = [one for one in shown if one.mask is None and _segment_id(one) is None]
    segments.detections.extend(boxes)
    sample[SEGMENTS] = segments
    for name, value in _fields(queued, opened, run.picture(queued.image)).items():
        sample[name] = value
    sample.tags = [tag for tag in sample.tags if tag not in TAGS]
    sample.save()
    if then is not None:
        forget_opened(run, queued.image, then, but=queued.labels)
    return True


def shown_image(sample: "fo.Sample", opened: OpenedLabels) -> ShownImage:
    """Return what the App shows of an image now."""
    size = opened.labels.height, opened.labels.width
    detections = sample[SEGMENTS].detections if sample[SEGMENTS] else []
    regions = tuple(region_of(detection, size) for detection in detections)
    return ShownImage(regions, frozenset(sample.tags), text_of(sample, "note"))


def region_of(detection: "fo.Detection", size: tuple[int, int]) -> Region:
    """Return one segment as the App has it.

    Args:
        size: height and width of the image.
    """
    height, width = size
    x, y, w, h = detection.bounding_box
    return Region(
        segment_id=_segment_id(detection),
        label=detection.label or "",
        mask=detection.mask,
        box=(x * width, y * height, w * width, h * height),
        tags=frozenset(detection.tags or ()),
        note=text_of(detection, "note"),
    )


def text_of(document: "fo.Sample | fo.Detection", name: str) -> str:
    """Return a text that people may have written; older datasets have no such field."""
    value = document.get_field(name) if document.has_field(name) else None
    return f"{value or ''}"


def _segment_id(detection: "fo.Detection") -> int | None:
    """Return the segment that it was in the run folder; None for one that was drawn in the App."""
    id_ = detection.get_field("segment_id") if detection.has_field("segment_id") else None
    return None if id_ is None else int(id_)


def _place(detection: "fo.Detection") -> tuple[int | None, tuple[float, ...]]:
    return _segment_id(detection), tuple(detection.bounding_box)


def _fields(queued: QueuedImage, opened: OpenedLabels, picture: Path | None) -> dict[str, Any]:
    """Return what a sample has from the run folder, but for its segments."""
    import fiftyone as fo

    metadata = fo.ImageMetadata(
        size_bytes=picture.stat().st_size if picture is not None and picture.is_file() else None,
        mime_type=mimetypes.guess_type(queued.image)[0],
        width=opened.labels.width,
        height=opened.labels.height,
        num_channels=3,  # as it is labelled: RGB
    )
    return {
        "metadata": metadata,
        "image": queued.image,
        "opened": key_of(opened.labels),
        "state": queued.state,
        "gain": queued.gain,
        "unlabelled": queued.unlabelled,
        "note": opened.labels.note,
        "reviewer": None,
        "lot": lot_of(queued.image),
        "refused": len(opened.labels.rejected),
    }


def _segments(queued: QueuedImage, opened: OpenedLabels) -> list[Document]:
    """Return the segments of an image as FiftyOne keeps them, the small ones on top."""
    ordered = sorted(queued.segments, key=lambda item: item.segment.area)
    return [_segment(item, opened) for item in ordered]


def _segment(item: QueuedSegment, opened: OpenedLabels) -> Document:
    segment = item.segment
    shown = replace(
        segment,
        score=_rounded(segment.score),
        margin=_rounded(segment.margin),
        disagreement=_rounded(segment.disagreement),
        contested=_rounded(segment.contested),
        sam_disagreement=_rounded(segment.sam_disagreement),
    )
    return segment_document(
        shown,
        opened.panoptic.ids,
        opened.vocabulary,
        gain=item.gain,
        changed=item.changed,
        was=opened.vocabulary.by_id(segment.category_id).name,
        tags=[SAVED_TAGS[segment.state]] if segment.is_owned else [],
    )


def _rounded(value: float | None) -> float | None:
    """Return a number as people read it; the run folder has all digits."""
    return None if value is None else round(value, 4)
