"""The numbers of the panoptic merge that belong to a model; a builder may give others."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MergeSettings:
    """Which masks become segments.

    The defaults are the published ones. Where a model spreads its probability over many names, the
    masks that several queries have of one thing are about as probable as each other, share its
    pixels, and are all dropped for being hidden: `max_mask_iou` leaves the most probable one alone.

    Attributes:
        min_visible: masks of which less than this share stays visible are dropped, 0..1.
        max_mask_iou: of two masks that overlap more, the less probable takes no part, 0..1;
            1 leaves all of them to compete.
    """

    min_visible: float = 0.8
    max_mask_iou: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_visible <= 1.0 or not 0.0 <= self.max_mask_iou <= 1.0:
            raise ValueError(f"expected 0..1, got {self}")
