"""What the App shows of one image now: its segments as regions, and the tags that people gave."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.review.corrections.opened_labels import OpenedLabels

Box = tuple[float, float, float, float]  # x, y, width, height in pixels of the image
Mask = NDArray[np.bool_]
AnyMask = NDArray[np.bool_] | NDArray[np.uint8]

ACCEPTED, REJECTED = "accepted", "rejected"  # tags of segments and of whole images
PROPOSED = "proposed"  # of segments: takes back that it was accepted
TAGS = frozenset({ACCEPTED, REJECTED, PROPOSED})


@dataclass(frozen=True)
class Window:
    """A part of an image: its first row and column, and the row and column after its last."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def around(cls, size: tuple[int, int], *boxes: Box, margin: float = 0) -> Self:
        """Return the smallest window of an image of this size (height, width) with all boxes."""
        return cls(
            top=max(0, int(np.floor(min(y for _, y, _, _ in boxes) - margin))),
            left=max(0, int(np.floor(min(x for x, _, _, _ in boxes) - margin))),
            bottom=min(size[0], int(np.ceil(max(y + h for _, y, _, h in boxes) + margin))),
            right=min(size[1], int(np.ceil(max(x + w for x, _, w, _ in boxes) + margin))),
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return rows and columns, for indexing [H, W]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Region:
    """A segment as the App has it.

    Attributes:
        segment_id: of the segment that it was in the run folder; None for a new one.
        label: name of the class.
        mask: [h, w], more than 0 is inside; bool and of the box's size as we wrote it, uint8 and of
            the screen's resolution after the App wrote it. None: a box without a mask.
        box: of the mask, in pixels of the image.
        tags: that people gave to it.
        note: that people wrote about it; empty: nothing.
    """

    segment_id: int | None
    label: str
    mask: AnyMask | None
    box: Box
    tags: AbstractSet[str] = frozenset()
    note: str = ""

    @property
    def is_exact(self) -> bool:
        """Return whether the mask has a value for each pixel of the image."""
        size = round(self.box[3]), round(self.box[2])
        return self.mask is not None and self.mask.dtype == np.bool_ and self.mask.shape == size

    @property
    def is_torn(self) -> bool:
        """Return whether the mask belongs to another box; its pixels are as wide as high.

        The App sends the new box and the new mask of a stroke or a merge one after the other.
        """
        if self.mask is None or not self.box[2]:
            return False
        rows, columns = self.mask.shape
        expected = self.box[3] * columns / self.box[2]
        return bool(abs(expected - rows) > 2 * (1 + rows / columns))  # both are rounded

    @property
    def screen_pixel(self) -> float:
        """Return how many pixels of the image one pixel of the mask is long, at least 1."""
        if self.is_exact:
            return 1.0
        height, width = self._inside().shape
        return float(max(self.box[2] / width, self.box[3] / height, 1.0))

    def within(self, window: Window) -> Mask:
        """Return the pixels of a window that the mask covers, scaled to its box; bilinear."""
        inside = self._inside()
        x, y, width, height = self.box
        rows = (np.arange(window.top, window.bottom) + 0.5 - y) / height * inside.shape[0] - 0.5
        columns = (np.arange(window.left, window.right) + 0.5 - x) / width * inside.shape[1] - 0.5
        return _interpolated(_interpolated(inside, rows).T, columns).T >= 0.5

    def _inside(self) -> NDArray[np.float32]:
        if self.mask is None:
            raise ValueError(f"the region of {self.label} at {self.box} has no mask")
        return (self.mask > 0).astype(np.float32)


@dataclass(frozen=True)
class ShownImage:
    """One image in the App.

    Attributes:
        regions: all that the App shows.
        tags: of the whole image.
        note: about the whole image; empty: nothing.
    """

    regions: tuple[Region, ...]
    tags: AbstractSet[str] = frozenset()
    note: str = ""


def is_untouched(opened: OpenedLabels, shown: ShownImage) -> bool:
    """Return whether the App shows exactly the labels that came from the run folder."""
    segments = {segment.id: segment for segment in opened.panoptic.segments}
    regions = [region for region in shown.regions if region.mask is not None or region.segment_id]
    ids = [region.segment_id or 0 for region in regions]  # 0: a new one
    return (
        not shown.tags & TAGS
        and shown.note == opened.labels.note
        and sorted(ids) == sorted(segments)
        and all(
            region.label == opened.vocabulary.by_id(segments[id_].category_id).name
            and not region.tags & TAGS
            and region.note == segments[id_].note
            and is_same_mask(opened.panoptic, segments[id_], region)
            for id_, region in zip(ids, regions, strict=True)
        )
    )


def is_same_mask(panoptic: PanopticMap, segment: Segment, region: Region) -> bool:
    """Return whether a region has exactly the pixels that the segment has in a map."""
    x, y, width, height = segment.bbox
    box = tuple(round(value) for value in region.box)
    if not region.is_exact or region.mask is None or box != segment.bbox:
        return False
    return np.array_equal(region.mask, panoptic.ids[y : y + height, x : x + width] == segment.id)


def _interpolated(values: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return rows of [n, m] at fractional places; 0 outside."""
    padded = np.pad(values, ((1, 1), (0, 0)))
    at = np.clip(places + 1, 0, len(padded) - 1)
    lower = np.minimum(np.floor(at).astype(np.int64), len(padded) - 2)
    share = (at - lower)[:, None].astype(np.float32)
    mixed: NDArray[np.float32] = padded[lower] * (1 - share) + padded[lower + 1] * share
    return mixed
