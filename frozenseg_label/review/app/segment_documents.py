"""Segments as the documents that FiftyOne keeps of them in its database, and their insertion.

FiftyOne's `add_samples` makes objects of every segment, checks each of their fields, and makes them
once more of what it has written: that took more time than all else in opening a run.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo

SEGMENTS = "segments"  # the one field that people edit

Document = dict[str, Any]


def segment_document(
    segment: Segment,
    ids: NDArray[np.int32],
    vocabulary: Vocabulary,
    **more: float | bool | str | list[str] | None,
) -> Document:
    """Return a segment as FiftyOne keeps it, with an id of its own.

    Args:
        ids: of the map that it is in [H, W].
        more: attributes that say more of it.
    """
    from bson import ObjectId
    from fiftyone.core.utils import serialize_numpy_array

    down, across = ids.shape
    x, y, width, height = segment.bbox
    mask = ids[y : y + height, x : x + width] == segment.id
    return {
        **_blank_segment(),
        "_id": ObjectId(),
        "label": vocabulary.by_id(segment.category_id).name,
        "bounding_box": [x / across, y / down, width / across, height / down],
        "mask": serialize_numpy_array(mask),
        "confidence": segment.score,
        "segment_id": segment.id,
        "state": segment.state,
        "source": segment.source,
        "area": segment.area,
        "second": None if segment.second is None else vocabulary.by_id(segment.second).name,
        "margin": segment.margin,
        "disagreement": segment.disagreement,
        "contested": segment.contested,
        "sam_disagreement": segment.sam_disagreement,
        "note": segment.note,
        **more,
    }


def segments_document(segments: list[Document]) -> Document:
    """Return the segments of one image as FiftyOne keeps them."""
    import fiftyone as fo

    return {**fo.Detections().to_dict(), "detections": segments}


def insert_samples(
    dataset: "fo.Dataset", samples: Iterable[tuple["fo.Sample", list[Document]]]
) -> int:
    """Insert images and the segments of each, in their order; returns how many images.

    All their fields must be declared: unlike `add_samples`, this looks for no new ones.

    Args:
        samples: without their segments; they are left as they are.
    """
    from fiftyone.core.odm import insert_documents

    def documents() -> Iterator[Document]:
        for sample, segments in samples:
            now = datetime.now(UTC)
            document = dataset._make_dict(sample, created_at=now, last_modified_at=now)
            yield {**document, SEGMENTS: segments_document(segments)}

    dataset.media_type = "image"
    collection = dataset._sample_collection  # FiftyOne has no public way to it
    return len(insert_documents(documents(), collection, ordered=True, progress=False))


@cache
def _blank_segment() -> Document:
    """Return what FiftyOne keeps of every detection."""
    import fiftyone as fo

    return dict(fo.Detection().to_dict())
