"""SAM's own masks beside the queries', for categories that training never saw.

`sam_proposals` makes them and `name_further_masks` names them. They join an image's
labels in two ways: as votes in the semantic scores (published), and as further proposals for the
panoptic map (this project's own form).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference.everything_masks import everything_masks
from frozenseg_label.inference.image_proposals import SamProposals
from frozenseg_label.inference.mask_tiles import single_image
from frozenseg_label.inference.memory import Memory
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.inference.semantic_map import Votes, query_votes
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import classify_by_clip
from frozenseg_label.model.proposals import ClassifiedMasks, Features
from frozenseg_label.model.settings import EverythingSettings
from frozenseg_label.model.text_classifier import TextClassifier


@dataclass(frozen=True)
class FurtherMasks:
    """Masks of one image that no query made, and the names that CLIP by itself gives them.

    Attributes:
        logits: [M, m, m] over the padded image.
        probs: [M, K + 1] from CLIP only; void takes part in the softmax.
        embeddings: CLIP's vectors of them, [M, D].
        valid: bool [M], whether the vectors are meaningful.
        chosen: int64 [N], places of the masks that become proposals; all of them may vote.
    """

    logits: Tensor
    probs: Tensor
    embeddings: Tensor
    valid: Tensor
    chosen: Tensor


def sam_proposals(
    model: FrozenSeg, features: Features, framings: Sequence[Framing]
) -> list[SamProposals]:
    """Return for each image the masks of everything that SAM finds, with CLIP's vectors of them.

    Args:
        model: whose SAM, CLIP and `everything` settings decide.
        features: of the images.
        framings: of the same images.
    """
    found = everything_masks(model.sam, features.sam, framings, model.everything)
    proposals = []
    for place, logits in enumerate(found):
        embeddings, valid = model.clip.embed_masks(features.dense[place : place + 1], logits[None])
        proposals.append(SamProposals(logits, embeddings[0], valid[0]))
    return proposals


def name_further_masks(
    model: FrozenSeg,
    names: TextClassifier,
    masks: ClassifiedMasks,
    further: SamProposals,
    memory: Memory | None = None,
) -> FurtherMasks:
    """Let CLIP name further masks of one image, and choose those that become proposals.

    Args:
        model: whose scale, void and `everything` settings decide.
        names: the text classifier of the vocabulary.
        masks: the queries' masks of the image, classified with the same names.
        further: the masks to name.
        memory: what a person corrected; it has a say too.
    """
    embeddings, valid = further.embeddings, further.valid
    scale = model.clip.logit_scale
    probs = classify_by_clip(embeddings[None], names, model.void_embedding, scale)[0]
    if memory is not None:
        probs = memory.mixed(probs, embeddings, valid)
    chosen = choose_extra(masks, further.logits, probs, names.seen, model.everything)
    return FurtherMasks(further.logits, probs, embeddings, valid, chosen)


def combine_semantic(
    masks: ClassifiedMasks, further: FurtherMasks, seen: Tensor, settings: EverythingSettings
) -> tuple[Votes, Votes]:
    """Return the votes of the queries and of SAM's masks, for `semantic_map` (the published rule).

    Seen categories are left to the queries. For unseen ones the queries' votes count 0.8 and those
    of SAM's masks 0.2, in every image, also where no mask of SAM counts.

    Args:
        masks: the queries' masks of one image.
        further: SAM's masks of it; their probability of void has no vote.
        seen: bool [K], categories that training saw.
        settings: which of SAM's masks count, and how much.
    """
    votes = query_votes(masks)
    unseen = ~seen.to(votes.weights.device)  # [K]
    counted, _ = _sure_of_unseen(further.probs, unseen, settings.min_probability)
    query_weights = torch.where(unseen[:, None], 1 - settings.sam_weight, 1.0) * votes.weights
    sam_weights = settings.sam_weight * further.probs[counted, :-1].T.float() * unseen[:, None]
    return (
        Votes(votes.mask_logits, query_weights),  # [K, Q]
        Votes(further.logits[counted], sam_weights),  # [K, M that count]
    )


def choose_extra(
    masks: ClassifiedMasks,
    logits: Tensor,
    probs: Tensor,
    seen: Tensor,
    settings: EverythingSettings,
) -> Tensor:
    """Return the places [N] of those of M masks that are good proposals of unseen categories.

    A mask is chosen where its best category is unseen and sure, and where no query has the same
    mask, unless void is the query's best class.

    Args:
        masks: the queries' masks of one image.
        logits: [M, m, m].
        probs: [M, K + 1], from CLIP only.
        seen: bool [K], categories that training saw.
        settings: when a category is sure, and when two masks are the same.
    """
    masks = single_image(masks)
    unseen = ~seen.to(probs.device)
    counted, best = _sure_of_unseen(probs, unseen, settings.min_probability)
    # No seen category is better, and void is not.
    counted = counted[best[counted] >= probs[counted].amax(dim=1)]
    named = masks.class_probs.argmax(dim=1) < len(seen)  # [Q]
    candidates = _resized(logits[counted], masks)  # [N, h, w]
    overlap = mask_iou(candidates, masks.mask_logits[named])  # [N, Q that are named]
    return counted[(overlap < settings.max_mask_iou).all(dim=1)]


def join_masks(masks: ClassifiedMasks, further: FurtherMasks) -> ClassifiedMasks:
    """Return one image's masks and the chosen further ones, [Q + N, ...] without the batch.

    The class probabilities of further masks are CLIP's; nobody disagrees with it, so their
    disagreement is 0.
    """
    masks = single_image(masks)
    logits, probs = further.logits[further.chosen], further.probs[further.chosen]
    return ClassifiedMasks(
        torch.cat([masks.mask_logits, _resized(logits, masks).to(masks.mask_logits.dtype)]),
        torch.cat([masks.class_probs, probs.to(masks.class_probs.dtype)]),
        torch.cat([masks.disagreement, masks.disagreement.new_zeros(len(probs))]),
    )


def sam_disagreement(masks: ClassifiedMasks, further: FurtherMasks) -> Tensor:
    """Return how far each of the joined masks is from the nearest of SAM's, [Q + N] in 0..1.

    1 - IoU for the Q queries' masks, 0 for the N chosen ones, which are SAM's.
    """
    masks = single_image(masks)
    nearest = torch.zeros(len(masks.mask_logits), device=masks.mask_logits.device)  # [Q]
    if len(further.logits):
        overlap = mask_iou(masks.mask_logits, _resized(further.logits, masks))  # [Q, M]
        nearest = overlap.amax(dim=1)
    return torch.cat([1 - nearest, nearest.new_zeros(len(further.chosen))])


def mask_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of mask logits [N, h, w] and [M, h, w] cut at 0, [N, M].

    Two empty masks have 0.
    """
    inside_a, inside_b = (a > 0).flatten(1).float(), (b > 0).flatten(1).float()
    with torch.autocast(a.device.type, enabled=False):  # half precision cannot count so far
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
