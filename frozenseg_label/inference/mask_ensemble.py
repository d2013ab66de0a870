"""SAM's own masks beside the queries', for categories that training never saw.

`everything_masks` makes them, `FrozenClip.embed_masks` and `classify_by_clip` say what they are,
and they come in by one of two doors: as votes in the semantic scores (published), or as further
proposals for the panoptic map (this project's own form).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from segment_anything.utils.amg import (
    batched_mask_to_box,
    build_point_grid,
    calculate_stability_score,
)
from torch import Tensor
from torchvision.ops import nms

from frozenseg_label.inference.mask_tiles import Size, single_image
from frozenseg_label.inference.semantic_map import Votes, query_votes
from frozenseg_label.model.proposals import ClassifiedMasks
from frozenseg_label.model.sam import FrozenSam
from frozenseg_label.model.settings import EverythingSettings


def everything_masks(
    sam: FrozenSam,
    embeddings: Tensor,
    padded_size: Size,
    image_sizes: Sequence[Size],
    settings: EverythingSettings,
) -> list[Tensor]:
    """Return for each image the masks of everything that SAM finds, largest first.

    Each is float32 logits [M, m, m] over the stretched padded image, like the embedding: resizing
    to any grid of the padded image aligns them. The way is that of segment-anything's automatic
    generator without crops; stability, boxes and areas are taken on SAM's own m x m grid.

    Args:
        sam: that made the embeddings.
        embeddings: [B, C, s, s], `Features.sam`.
        padded_size: height and width of the model's input with padding.
        image_sizes: height and width of each image without its padding; no point lies outside.
        settings: grid and thresholds.
    """
    return [
        _everything_of_image(sam, embedding[None], padded_size, image_size, settings)
        for embedding, image_size in zip(embeddings, image_sizes, strict=True)
    ]


def combine_semantic(
    masks: ClassifiedMasks,
    sam_masks: Tensor,
    sam_probs: Tensor,
    seen: Tensor,
    settings: EverythingSettings,
    *,
    with_padding: bool = True,
) -> tuple[Votes, Votes]:
    """Return the votes of the queries and of SAM's masks, for `semantic_map` (the published rule).

    Seen categories are left to the queries. For unseen ones the queries' votes count 0.8 and those
    of SAM's masks 0.2, in every image, also where none of SAM's masks counts.

    Args:
        masks: the queries' masks of one image.
        sam_masks: logits [M, *, *].
        sam_probs: [M, K + 1], from CLIP alone; void takes part in the softmax, and no further.
        seen: bool [K], categories that training saw.
        settings: which of SAM's masks count, and how much.
        with_padding: `sam_masks` cover the padded image, as those of `everything_masks` do;
            False: the image alone.
    """
    votes = query_votes(masks)
    unseen = ~seen.to(votes.weights.device)  # [K]
    counted, _ = _sure_of_unseen(sam_probs, unseen, settings.min_probability)
    query_weights = torch.where(unseen[:, None], 1 - settings.sam_weight, 1.0) * votes.weights
    sam_weights = settings.sam_weight * sam_probs[counted, :-1].T.float() * unseen[:, None]
    return (
        Votes(votes.mask_logits, query_weights),  # [K, Q]
        Votes(sam_masks[counted], sam_weights, with_padding),  # [K, M that count]
    )


def extra_proposals(
    masks: ClassifiedMasks,
    sam_masks: Tensor,
    sam_probs: Tensor,
    seen: Tensor,
    settings: EverythingSettings,
) -> ClassifiedMasks:
    """Return SAM's masks of unseen categories as further proposals of one image.

    A mask counts where its best category is unseen and sure, and where no query that stands for a
    category (void does not) has the same mask. Its class probabilities are CLIP's alone; there is
    nobody to disagree with, so its disagreement is 0.

    Args:
        masks: the queries' masks of one image.
        sam_masks: logits [M, m, m] of `everything_masks`.
        sam_probs: [M, K + 1], from CLIP alone.
        seen: bool [K], categories that training saw.
        settings: which of SAM's masks count.
    """
    chosen = choose_extra(masks, sam_masks, sam_probs, seen, settings)
    return as_proposals(sam_masks[chosen], sam_probs[chosen], masks)


def choose_extra(
    masks: ClassifiedMasks,
    sam_masks: Tensor,
    sam_probs: Tensor,
    seen: Tensor,
    settings: EverythingSettings,
) -> Tensor:
    """Return the places [N] of the masks that `extra_proposals` is about, among SAM's M."""
    masks = single_image(masks)
    unseen = ~seen.to(sam_probs.device)
    counted, best = _sure_of_unseen(sam_probs, unseen, settings.min_probability)
    counted = counted[
        best[counted] >= sam_probs[counted].amax(dim=1)
    ]  # no seen one, nor void, is better
    named = masks.class_probs.argmax(dim=1) < len(seen)  # [Q]
    logits = _resized(sam_masks[counted], masks)  # [N, h, w]
    overlap = mask_iou(logits, masks.mask_logits[named])  # [N, Q that are named]
    return counted[(overlap < settings.max_mask_iou).all(dim=1)]


def as_proposals(sam_masks: Tensor, sam_probs: Tensor, masks: ClassifiedMasks) -> ClassifiedMasks:
    """Return SAM's masks in the form of one image's queries: of their size, agreeing with all.

    Args:
        sam_masks: logits [N, m, m].
        sam_probs: [N, K + 1].
        masks: the queries'.
    """
    masks = single_image(masks)
    probs = sam_probs.to(masks.class_probs.dtype)
    agreeing = masks.disagreement.new_zeros(len(probs))
    return ClassifiedMasks(_resized(sam_masks, masks), probs, agreeing)


def sam_disagreement(masks: ClassifiedMasks, sam_masks: Tensor) -> Tensor:
    """Return how far each query's mask is from the nearest of SAM's, 1 - IoU, [Q] in 0..1."""
    masks = single_image(masks)
    if not len(sam_masks):
        return torch.ones(len(masks.mask_logits), device=masks.mask_logits.device)
    overlap = mask_iou(masks.mask_logits, _resized(sam_masks, masks))  # [Q, M]
    return 1 - overlap.amax(dim=1)


def join_masks(masks: ClassifiedMasks, further: ClassifiedMasks) -> ClassifiedMasks:
    """Return two sets of masks of one image as one, [Q + N, ...] without the batch dimension."""
    masks, further = single_image(masks), single_image(further)
    return ClassifiedMasks(
        torch.cat([masks.mask_logits, further.mask_logits.to(masks.mask_logits.dtype)]),
        torch.cat([masks.class_probs, further.class_probs]),
        torch.cat([masks.disagreement, further.disagreement]),
    )


def mask_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of mask logits [N, h, w] and [M, h, w] cut at 0, [N, M].

    Two empty masks have 0.
    """
    inside_a, inside_b = (a > 0).flatten(1).float(), (b > 0).flatten(1).float()
    both = inside_a @ inside_b.T  # [N, M]
    either = inside_a.sum(dim=1)[:, None] + inside_b.sum(dim=1) - both
    return both / either.clamp(min=1)


def _resized(sam_masks: Tensor, masks: ClassifiedMasks) -> Tensor:
    """Return SAM's masks [N, m, m] at the size of one image's queries, [N, h, w]."""
    size = masks.mask_logits.shape[-2:]
    return F.interpolate(sam_masks[:, None].float(), size, mode="bilinear")[:, 0]


def _sure_of_unseen(probs: Tensor, unseen: Tensor, min_probability: float) -> tuple[Tensor, Tensor]:
    """Return which masks count [N] (indices), and every mask's best unseen probability [M]."""
    best = (probs[:, :-1] * unseen).amax(dim=1)  # [M]; 0 where all categories are seen
    return (best > min_probability).nonzero()[:, 0], best


def _everything_of_image(
    sam: FrozenSam,
    embedding: Tensor,
    padded_size: Size,
    image_size: Size,
    settings: EverythingSettings,
) -> Tensor:
    """Return the masks of one image, [M, m, m]."""
    visible = image_size[0] / padded_size[0], image_size[1] / padded_size[1]  # share, rows, columns
    grid = torch.from_numpy(
        build_point_grid(settings.points_per_side)
    ).float()  # [P, 2] x, y in 0..1
    points = (grid * torch.tensor([visible[1], visible[0]])).to(embedding.device)
    found, ratings = [], []
    for some in torch.split(points, settings.points_per_batch):
        logits, rating = sam.decode_points(embedding, some)  # [p, 3, m, m], [p, 3]
        logits, rating = logits.flatten(0, 1), rating.flatten(0, 1)
        good = rating > settings.min_predicted_iou
        logits, rating = logits[good], rating[good]
        stable = (
            calculate_stability_score(_crop(logits, visible), 0.0, 1.0) >= settings.min_stability
        )
        # Hundreds may pass before the next step thins them out: half of the memory is enough.
        found.append(logits[stable].half())
        ratings.append(rating[stable].float())
    with torch.autocast(embedding.device.type, enabled=False):  # it refuses to join halves on CPUs
        masks, rating = torch.cat(found), torch.cat(ratings)
    inside = _crop(masks, visible) > 0
    boxes = batched_mask_to_box(inside).float()  # [N, 4], last row and column included
    boxes[:, 2:] += 1
    kept = nms(boxes, rating, settings.max_box_iou)
    areas, largest = inside[kept].sum(dim=(1, 2)).sort(descending=True, stable=True)
    chosen = kept[largest[areas > 0][: settings.max_masks]]
    return masks[chosen].float()


def _crop(masks: Tensor, visible: tuple[float, float]) -> Tensor:
    """Return the part of masks [N, m, m] that is not padding."""
    side = masks.shape[-1]
    return masks[:, : max(1, round(visible[0] * side)), : max(1, round(visible[1] * side))]
