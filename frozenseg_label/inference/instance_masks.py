"""From classified masks to things that may overlap, as average precision is measured on them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.inference.mask_tiles import Size, masks_resize, row_tiles, single_image
from frozenseg_label.model.proposals import ClassifiedMasks
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class InstanceMasks:
    """Things of one image, best first; one mask may occur under several categories.

    Attributes:
        masks: bool [N, H, W].
        category_ids: int64 [N], `Category.id`.
        scores: float32 [N], 0..1.
    """

    masks: NDArray[np.bool_]
    category_ids: NDArray[np.int64]
    scores: NDArray[np.float32]


def instance_masks(
    masks: ClassifiedMasks,
    padded_size: Size,
    image_size: Size,
    output_size: Size,
    vocabulary: Vocabulary,
    *,
    top: int = 100,
) -> InstanceMasks:
    """Take the most probable (mask, category) pairs, then drop those of stuff.

    Mask2Former's order (arXiv 2112.01527): stuff takes places of `top`.

    Args:
        masks: of one image.
        padded_size: height and width of the model's input with padding.
        image_size: the same without padding.
        output_size: height and width of the masks that come out.
        vocabulary: names the K columns of `masks.class_probs`.
        top: pairs that are looked at, stuff included.
    """
    masks = single_image(masks)
    probs = masks.class_probs[:, :-1].float()  # [Q, K]
    if probs.shape[1] != len(vocabulary):
        raise ValueError(
            f"masks have {probs.shape[1]} categories, the vocabulary {len(vocabulary)}"
        )
    best, pairs = probs.flatten().topk(min(top, probs.numel()))  # [top]
    queries, labels = pairs // len(vocabulary), pairs % len(vocabulary)
    is_thing = torch.tensor(
        [category.is_thing for category in vocabulary.categories], device=probs.device
    )
    things = is_thing[labels]
    best, queries, labels = best[things], queries[things], labels[things]  # [N]

    used, place = torch.unique(queries, return_inverse=True)  # one query may stand in many pairs
    logits = masks.mask_logits[used]  # [U, h, w]
    resize = masks_resize(logits, padded_size, image_size, output_size)
    inside = torch.zeros(len(used), *output_size, dtype=torch.bool)
    area = torch.zeros(len(used), device=probs.device)
    certainty = torch.zeros_like(area)  # sum of the probabilities inside
    for start, stop in row_tiles(output_size[0], len(used) * output_size[1]):
        tile = resize.rows(logits[:, resize.needed(start, stop)], start, stop)  # [U, T, W]
        foreground = tile > 0
        inside[:, start:stop] = foreground
        area += foreground.sum(dim=(1, 2))
        certainty += (tile.sigmoid_() * foreground).sum(dim=(1, 2))
    scores = best * (certainty / area.clamp(min=1))[place]
    scores, order = scores.sort(descending=True, stable=True)
    ids = np.array([category.id for category in vocabulary.categories], np.int64)
    return InstanceMasks(
        masks=inside[place[order].cpu()].numpy(),
        category_ids=ids[labels[order].cpu().numpy()],
        scores=scores.cpu().numpy(),
    )
