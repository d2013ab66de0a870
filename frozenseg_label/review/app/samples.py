"""One image in FiftyOne: a sample made of its labels, and what a person made of the sample."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.review.app.views import SEGMENTS
from frozenseg_label.review.corrections.opened_labels import (
    forget_opened,
    keep_opened,
    key_of,
    read_opened,
)
from frozenseg_label.review.corrections.regions import TAGS, Region
from frozenseg_label.review.queue.review_queue import QueuedImage, QueuedSegment
from frozenseg_label.runs.journal_rows import Labels
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo

CHANGING = "its labels are just being written, or are not the ones that the journal names"


def samples_of(
    run: RunFolder, queue: Sequence[QueuedImage], left_out: dict[str, str]
) -> Iterator["fo.Sample"]:
    """Make samples of images; those that cannot be shown are told in `left_out`, and why."""
    import fiftyone as fo

    root = Path(run.manifest.root or "/")
    for queued in queue:
        path = root / queued.image
        try:
            f"{path}".encode()
        except UnicodeEncodeError:
            left_out[queued.image] = "its name is no Unicode, which FiftyOne needs"
            continue
        if not path.exists():
            left_out[queued.image] = f"there is no {path}"
            continue
        labels = _opened(run, queued)
        if labels is None:
            left_out[queued.image] = CHANGING
            continue
        yield fo.Sample(filepath=f"{path}", **_fields(queued, labels, run.vocabulary))


def reload_image(
    run: RunFolder, sample: "fo.Sample", queued: QueuedImage, then: Labels | None
) -> bool:
    """Let a sample show the labels as they stand in the run folder; returns whether it does.

    Segments that are where they were keep the ids that FiftyOne gave them, by which views and
    similarity know them.

    Args:
        then: the labels that it shows; None where nobody knows.
    """
    labels = _opened(run, queued)
    if labels is None:
        return False
    shown = sample[SEGMENTS].detections if sample[SEGMENTS] else []
    ids = {_place(detection): detection.id for detection in shown}
    fields = _fields(queued, labels, run.vocabulary)
    for detection in fields[SEGMENTS].detections:
        detection.id = ids.pop(_place(detection), detection.id)
    # Nobody can tell the pixels of a box without a mask; it is not ours.
    boxes = [one for one in shown if one.mask is None and _segment_id(one) is None]
    fields[SEGMENTS].detections.extend(boxes)
    for name, value in fields.items():
        sample[name] = value
    sample.tags = [tag for tag in sample.tags if tag not in TAGS]
    sample.save()
    if then is not None:
        forget_opened(run.path, queued.image, then, but=queued.labels)
    return True


def regions_of(detections: "fo.Detections | None", size: tuple[int, int]) -> list[Region]:
    """What stands in a sample now.

    Args:
        size: height and width of the image.
    """
    return [
        region_of(detection, size) for detection in (detections.detections if detections else [])
    ]


def region_of(detection: "fo.Detection", size: tuple[int, int]) -> Region:
    """One segment as it stands; `size` as of `regions_of`."""
    height, width = size
    x, y, w, h = detection.bounding_box
    return Region(
        segment_id=_segment_id(detection),
        label=detection.label or "",
        mask=detection.mask,
        box=(x * width, y * height, w * width, h * height),
        tags=frozenset(detection.tags or ()),
    )


def _opened(run: RunFolder, queued: QueuedImage) -> PanopticMap | None:
    """The labels that are shown, kept; None where a program is just writing other ones."""
    if not keep_opened(run.path, queued.image, queued.labels):
        return None
    return read_opened(run.path, queued.image, queued.labels, run.vocabulary)


def _segment_id(detection: "fo.Detection") -> int | None:
    """The segment that it was; None of one that was drawn in the App."""
    id_ = detection.get_field("segment_id") if detection.has_field("segment_id") else None
    return None if id_ is None else int(id_)


def _place(detection: "fo.Detection") -> tuple[int | None, tuple[float, ...]]:
    return _segment_id(detection), tuple(detection.bounding_box)


def _fields(queued: QueuedImage, labels: PanopticMap, vocabulary: Vocabulary) -> dict[str, Any]:
    """All fields of a sample that come from the run folder."""
    import fiftyone as fo

    size = queued.labels.width, queued.labels.height
    detections = [
        _detection(item, labels, vocabulary, size)
        for item in sorted(queued.segments, key=lambda item: item.segment.area)  # small ones on top
    ]
    return {
        "metadata": fo.ImageMetadata(width=size[0], height=size[1]),
        "image": queued.image,
        "opened": key_of(queued.labels),
        "state": queued.state,
        "gain": queued.gain,
        "unlabelled": queued.unlabelled,
        SEGMENTS: fo.Detections(detections=detections),
    }


def _detection(
    item: QueuedSegment, labels: PanopticMap, vocabulary: Vocabulary, size: tuple[int, int]
) -> "fo.Detection":
    import fiftyone as fo

    segment = item.segment
    x, y, width, height = segment.bbox
    second = None if segment.second is None else vocabulary.by_id(segment.second).name
    return fo.Detection(
        label=vocabulary.by_id(segment.category_id).name,
        bounding_box=[x / size[0], y / size[1], width / size[0], height / size[1]],
        mask=labels.ids[y : y + height, x : x + width] == segment.id,
        confidence=_rounded(segment.score),
        segment_id=segment.id,
        state=segment.state,
        source=segment.source,
        area=segment.area,
        second=second,
        margin=_rounded(segment.margin),
        disagreement=_rounded(segment.disagreement),
        contested=_rounded(segment.contested),
        sam_disagreement=_rounded(segment.sam_disagreement),
        gain=item.gain,
        changed=item.changed,
    )


def _rounded(value: float | None) -> float | None:
    """As people read it; the run folder has the rest."""
    return None if value is None else round(value, 4)
