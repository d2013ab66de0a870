"""The settings of a model: numbers that decide what it makes of an image, and no weights.

The defaults are the published ones; a builder may give others, as small models need.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSize:
    """How large an image enters: its shortest side, its longest at most, padded to a divisor."""

    shortest: int
    longest: int
    divisor: int = 32


@dataclass(frozen=True)
class EnsembleSettings:
    """How the opinions of the decoder and of CLIP are joined (arXiv 2308.02487, section 3.3).

    Attributes:
        alpha: weight of CLIP's opinion for categories seen in training, 0 (none) to 1 (all).
        beta: the same for unseen ones.
        void_bias: added to the decoder's logit of void; 0 as published. A small model spreads its
            probability over many names and drops good masks unless this is a little negative; far
            below, masks of one thing crowd each other out in the merge.
    """

    alpha: float = 0.4
    beta: float = 0.8
    void_bias: float = 0.0


@dataclass(frozen=True)
class MergeSettings:
    """Which masks become segments.

    Where a model spreads its probability over many names, the masks that several queries have of
    one thing are about equally probable, share its pixels, and are all dropped for being hidden:
    `max_mask_iou` keeps only the most probable one.

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


@dataclass(frozen=True)
class EverythingSettings:
    """Which of SAM's own masks are made, which count, and how much.

    The published numbers were made for SAM ViT-H; `max_box_iou` is segment-anything's own,
    `max_mask_iou` ours.

    Attributes:
        points_per_side: the image is asked about on a grid of this many points squared.
        points_per_batch: points that are decoded at once; speed and memory only. The cells that a
            few points see, 4 MiB each in the published models, stay in a processor's cache.
        min_predicted_iou: masks that SAM itself rates at this or below are dropped, 0..1.
        min_stability: likewise below this IoU of the mask cut at logit +1 and at -1, 0..1.
        max_box_iou: of two masks whose boxes overlap more, the lower rated is dropped, 0..1.
        max_masks: only this many of the largest are kept.
        min_probability: only masks whose best unseen category has more than this count, 0..1.
        sam_weight: share of SAM's masks in the semantic scores of unseen categories, 0..1.
        max_mask_iou: as further proposals, only masks that overlap each query's less, 0..1.
    """

    points_per_side: int = 32
    points_per_batch: int = 4
    min_predicted_iou: float = 0.8
    min_stability: float = 0.7
    max_box_iou: float = 0.7
    max_masks: int = 50
    min_probability: float = 0.5
    sam_weight: float = 0.2
    max_mask_iou: float = 0.5
