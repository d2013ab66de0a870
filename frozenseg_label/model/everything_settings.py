"""The numbers of the SAM mask ensemble; a builder may give others, as small models need."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EverythingSettings:
    """Which of SAM's masks are made, which count, and how much.

    The defaults are those of the published FrozenSeg, made for SAM ViT-H; `max_box_iou` is
    segment-anything's own, `max_mask_iou` ours.

    Attributes:
        points_per_side: the image is asked about on a grid of this many points squared.
        points_per_batch: points that are decoded at once; memory only.
        min_predicted_iou: masks that SAM itself rates at this or below are dropped, 0..1.
        min_stability: likewise below this IoU of the mask cut at logit +1 and at -1, 0..1.
        max_box_iou: of two masks whose boxes overlap more, the lower rated is dropped, 0..1.
        max_masks: the largest this many stay.
        min_probability: only masks whose best unseen category has more than this count, 0..1.
        sam_weight: share of SAM's masks in the semantic scores of unseen categories, 0..1.
        max_mask_iou: as further proposals, only masks that overlap each query's less, 0..1.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    min_predicted_iou: float = 0.8
    min_stability: float = 0.7
    max_box_iou: float = 0.7
    max_masks: int = 50
    min_probability: float = 0.5
    sam_weight: float = 0.2
    max_mask_iou: float = 0.5
