"""What a person did to one image in the App, and what became of it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import numpy as np

from frozenseg_label.panoptic import ImageState, PanopticMap, Segment
from frozenseg_label.review.corrections.brush import AnyMask, Box
from frozenseg_label.vocabulary import Vocabulary

ACCEPTED, REJECTED = "accepted", "rejected"  # tags, of segments and of whole images
TAGS = frozenset({ACCEPTED, REJECTED})

Kind = Literal["accepted", "rejected", "relabelled", "reshaped", "added", "removed", "merged"]


@dataclass(frozen=True)
class Region:
    """A segment as it stands in the App.

    Attributes:
        segment_id: of the segment that it was; None of a new one.
        label: name of the class.
        mask: [h, w], more than 0 is inside; bool and of the box's size as we wrote it, uint8 and of
            the screen's resolution once the App did. None: a box without a mask.
        box: of the mask, in pixels of the image.
        tags: what people put on it.
    """

    segment_id: int | None
    label: str
    mask: AnyMask | None
    box: Box
    tags: AbstractSet[str] = frozenset()

    @property
    def is_exact(self) -> bool:
        """Whether the mask has a value for each pixel of the image."""
        size = round(self.box[3]), round(self.box[2])
        return self.mask is not None and self.mask.dtype == np.bool_ and self.mask.shape == size


@dataclass(frozen=True)
class Change:
    """What became of one segment.

    Attributes:
        segment: its id.
        label: its class now; of a removed one, what it was.
        before: its class before, where that is another one.
        gained, lost: pixels.
    """

    kind: Kind
    segment: int
    label: str
    before: str | None = None
    gained: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Edited:
    """The labels of an image after a person was there.

    Attributes:
        panoptic: rejected segments still have the pixels that nobody else took.
        changes: in the order of the segments.
    """

    panoptic: PanopticMap
    state: ImageState
    changes: tuple[Change, ...]


def is_untouched(
    base: PanopticMap, regions: Sequence[Region], tags: AbstractSet[str], vocabulary: Vocabulary
) -> bool:
    """Whether the App shows the labels just as they came from the run folder."""
    segments = {segment.id: segment for segment in base.segments}
    regions = [region for region in regions if region.mask is not None or region.segment_id]
    ids = [region.segment_id for region in regions]
    return (
        not tags & TAGS
        and sorted(id_ or 0 for id_ in ids) == sorted(segments)
        and all(
            region.label == vocabulary.by_id(segments[region.segment_id or 0].category_id).name
            and not region.tags & TAGS
            and is_same_mask(base, segments[region.segment_id or 0], region)
            for region in regions
        )
    )


def is_same_mask(base: PanopticMap, segment: Segment, region: Region) -> bool:
    """Whether a region has the very pixels that the segment has in a map."""
    x, y, width, height = segment.bbox
    box = tuple(round(value) for value in region.box)
    if not region.is_exact or region.mask is None or box != segment.bbox:
        return False
    return np.array_equal(region.mask, base.ids[y : y + height, x : x + width] == segment.id)
