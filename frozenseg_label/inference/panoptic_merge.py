"""From classified masks to one panoptic map: every pixel goes to the mask that claims it most.

The rule is Mask2Former's (arXiv 2112.01527). Two things are new: every segment keeps its scores,
and a model may keep only the most probable of several masks of one thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.claimed_pixels import ClaimedPixels, claim_pixels
from frozenseg_label.inference.mask_ensemble import mask_iou
from frozenseg_label.inference.mask_tiles import masks_resize, row_tiles, single_image
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.proposals import ClassifiedMasks
from frozenseg_label.model.settings import MergeSettings
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment, measure
from frozenseg_label.vocabulary import Vocabulary

AS_PUBLISHED = MergeSettings()


@dataclass(frozen=True)
class MergedMasks:
    """A panoptic map, and the masks that it is made of.

    Attributes:
        panoptic: the map.
        parts: by segment id, which masks it is made of: place among the masks -> pixels.
    """

    panoptic: PanopticMap
    parts: Mapping[int, Mapping[int, int]]


def panoptic_merge(
    masks: ClassifiedMasks,
    framing: Framing,
    vocabulary: Vocabulary,
    *,
    source: str,
    min_score: float = 0.0,
    settings: MergeSettings = AS_PUBLISHED,
) -> MergedMasks:
    """Give every pixel to the mask that claims it most strongly, if that mask is sure of it.

    Segments are numbered from 1 in the order of the masks. A second segment of a stuff category
    joins the first; the scores are then those of the part with the most pixels.

    Args:
        masks: of one image.
        framing: of that image; the map has its original size.
        vocabulary: names the K columns of `masks.class_probs`.
        source: `Segment.source` of every segment, `model:<hash>`.
        min_score: masks whose class probability is not above this, or not above the `min_score` of
            their category, take no part at all, 0..1 (published: 0.0; BDD 0.4).
        settings: when a mask is hidden too much, and when two are the same.
    """
    if not 0.0 <= min_score <= 1.0:
        raise ValueError(f"expected 0..1, got min_score {min_score}")
    masks = single_image(masks)
    candidates = _candidates(masks, vocabulary, min_score, settings.max_mask_iou)
    resize = masks_resize(masks.mask_logits, framing)
    claims = claim_pixels(candidates.mask_logits, candidates.scores, resize)
    ids, parts = _number_segments(candidates, claims, vocabulary, settings.min_visible)
    segments = _describe(ids, parts, candidates, claims, vocabulary, source)
    places, pixels = candidates.places, claims.painted.tolist()
    made_of = {
        id_: {places[mask]: pixels[mask] for mask in masks_of_one}
        for id_, masks_of_one in enumerate(parts, start=1)
    }
    return MergedMasks(PanopticMap(ids, segments), made_of)


@dataclass(frozen=True)
class _Candidates:
    """The N masks that may become segments; the rest never reaches full size."""

    places: list[int]  # [N], among all masks
    mask_logits: Tensor  # [N, h, w]
    scores: Tensor  # [N]
    labels: list[int]  # [N], index of the best category
    seconds: list[int]  # [N], index of the second; empty where there is one category only
    margins: list[float]  # [N], likewise
    disagreement: list[float]  # [N]


def _candidates(
    masks: ClassifiedMasks, vocabulary: Vocabulary, min_score: float, max_mask_iou: float
) -> _Candidates:
    """Drop masks that are void, below their threshold or the same as a more probable one."""
    probs = masks.class_probs.float()  # [Q, K + 1]
    if probs.shape[1] != len(vocabulary) + 1:
        raise ValueError(
            f"class_probs has {probs.shape[1]} columns, vocabulary {vocabulary.name!r} needs "
            f"{len(vocabulary) + 1}"
        )
    top, index = probs[:, :-1].topk(min(2, len(vocabulary)), dim=1)  # [Q, 2]
    floors = [max(min_score, category.min_score) for category in vocabulary.categories]
    floor = probs.new_tensor(floors)[index[:, 0]]  # [Q]
    kept = ((top[:, 0] >= probs[:, -1]) & (top[:, 0] > floor)).nonzero()[:, 0]  # [N]
    if max_mask_iou < 1.0:
        kept = kept[_distinct(masks.mask_logits[kept], top[kept, 0], max_mask_iou)]
    top, index = top[kept], index[kept]
    return _Candidates(
        places=kept.tolist(),
        mask_logits=masks.mask_logits[kept],
        scores=top[:, 0],
        labels=index[:, 0].tolist(),
        seconds=index[:, 1:].flatten().tolist(),
        margins=(top[:, :1] - top[:, 1:]).flatten().tolist(),
        disagreement=masks.disagreement[kept].tolist(),
    )


def _distinct(mask_logits: Tensor, scores: Tensor, max_mask_iou: float) -> list[int]:
    """Return the places of the masks [N, h, w] that overlap no more probable one that stays."""
    overlap = (mask_iou(mask_logits, mask_logits) > max_mask_iou).cpu()  # [N, N]
    stay: list[int] = []
    for place in scores.argsort(descending=True, stable=True).tolist():
        if not overlap[place, stay].any():
            stay.append(place)
    return sorted(stay)


def _number_segments(
    candidates: _Candidates, claims: ClaimedPixels, vocabulary: Vocabulary, min_visible: float
) -> tuple[NDArray[np.int32], list[list[int]]]:
    """Return the map [H, W] and, for the ids 1, 2, ..., the masks that each is made of."""
    parts: list[list[int]] = []
    id_of_mask = np.full(len(candidates.labels) + 1, UNLABELLED, np.int32)
    id_of_stuff: dict[int, int] = {}
    for mask, label in enumerate(candidates.labels):
        hidden = claims.won[mask] < min_visible * claims.covered[mask]
        if hidden or not claims.painted[mask]:
            continue
        segment_id = id_of_stuff.get(label)
        if segment_id is None:
            parts.append([])
            segment_id = len(parts)
            if not vocabulary.categories[label].is_thing:
                id_of_stuff[label] = segment_id
        parts[segment_id - 1].append(mask)
        id_of_mask[mask + 1] = segment_id
    ids = claims.owner  # in place: at 144 MP another map of this size is 0.6 GB
    for start, stop in row_tiles(*ids.shape):
        ids[start:stop] = id_of_mask[ids[start:stop]]
    return ids, parts


def _describe(
    ids: NDArray[np.int32],
    parts: list[list[int]],
    candidates: _Candidates,
    claims: ClaimedPixels,
    vocabulary: Vocabulary,
    source: str,
) -> tuple[Segment, ...]:
    """Return one `Segment` for each id of the map."""
    segments = []
    measured = measure(ids)  # not by scipy.ndimage, whose import takes as long as a nano image
    for index, masks in enumerate(parts):
        area, bbox = measured[index + 1]
        speaker = max(masks, key=lambda mask: int(claims.painted[mask]))
        category = vocabulary.categories[candidates.labels[speaker]]
        second = candidates.seconds[speaker] if candidates.seconds else None
        segments.append(
            Segment(
                id=index + 1,
                category_id=category.id,
                is_thing=category.is_thing,
                area=area,
                bbox=bbox,
                score=float(candidates.scores[speaker]),
                margin=candidates.margins[speaker] if candidates.margins else None,
                second=None if second is None else vocabulary.categories[second].id,
                disagreement=candidates.disagreement[speaker],
                contested=1 - float(claims.painted[speaker] / claims.covered[speaker]),
                source=source,
            )
        )
    return tuple(segments)
