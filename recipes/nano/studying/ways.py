"""Ways of turning the same masks of a scene into labels, so that these can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.inference.mask_ensemble import (
    as_proposals,
    choose_extra,
    combine_semantic,
    everything_masks,
    join_masks,
)
from frozenseg_label.inference.panoptic_merge import panoptic_merge
from frozenseg_label.inference.semantic_map import query_votes, semantic_map
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import (
    EnsembleSettings,
    classify_by_clip,
    classify_masks,
)
from frozenseg_label.model.merge_settings import MergeSettings
from frozenseg_label.model.proposals import ClassifiedMasks, Features, MaskProposals
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary
from recipes.nano.studying.color_regions import color_regions

Extra = Literal["none", "sam", "color regions"]


@dataclass(frozen=True)
class Way:
    """One way of turning masks into labels.

    Attributes:
        names: the text classifier of the vocabulary.
        ensemble: how the opinions of the two branches are joined.
        merge: which masks become segments.
        extra: further masks, which only CLIP names, for unseen categories. The colour regions are
            the control of SAM's masks: in each image only the surest ones join, as many as joined
            in the way with SAM's masks that was counted before.
        min_score: less probable segments are left out of the panoptic labels, 0..1.
    """

    names: TextClassifier
    ensemble: EnsembleSettings
    merge: MergeSettings
    extra: Extra = "none"
    min_score: float = 0.0


def own_ways(model: FrozenSeg, names: TextClassifier) -> dict[str, Way]:
    """Return a model's own way, and the same with SAM's masks."""
    return {
        "whole": Way(names, model.ensemble, model.merge),
        "with SAM's masks": Way(names, model.ensemble, model.merge, "sam"),
    }


@dataclass(frozen=True)
class SeenScene:
    """A scene and what a model makes of it before anything has a name.

    Attributes:
        features: what the encoders see.
        proposals: the masks of the decoder.
        further: logits [M, h, w] of the masks that may be added, by the name in `Way.extra`.
    """

    scene: Scene
    features: Features
    proposals: MaskProposals
    further: Mapping[Extra, Tensor]


@dataclass(frozen=True)
class SceneLabels:
    """The labels that one way gives a scene.

    Attributes:
        semantic: uint16 [H, W], index of the best category of each pixel.
        joined: how many further masks became proposals.
    """

    panoptic: PanopticMap
    semantic: NDArray[np.uint16]
    joined: int


@dataclass(frozen=True)
class _FurtherMasks:
    """Masks beside the queries', as CLIP names them.

    Attributes:
        logits: [M, h, w].
        probs: [M, K + 1].
        chosen: places of those that become proposals, [N].
    """

    logits: Tensor
    probs: Tensor
    chosen: Tensor


def look_at(model: FrozenSeg, scene: Scene) -> SeenScene:
    """Return what a model makes of a scene.

    Args:
        model: in evaluation mode, on CPU.
        scene: has no padding.
    """
    pixels = torch.from_numpy(scene.image.copy()).permute(2, 0, 1)[None].float()
    size = scene.image.shape[:2]
    features = model.extract_features(pixels, [size])
    proposals = model.propose(features)
    everything = everything_masks(model.sam, features.sam, size, [size], model.everything)[0]
    regions = color_regions(scene.image, proposals.mask_logits.shape[-2:])
    return SeenScene(scene, features, proposals, {"sam": everything, "color regions": regions})


def label_scene(
    model: FrozenSeg, vocabulary: Vocabulary, way: Way, seen: SeenScene, most: int | None
) -> SceneLabels:
    """Return the labels of a scene in one way.

    Args:
        most: so many further masks join at most; None sets no limit.
    """
    masks = classify_masks(
        seen.proposals,
        way.names,
        model.void_embedding,
        in_scale=model.transformer_decoder.logit_scale,
        out_scale=model.clip.logit_scale,
        settings=way.ensemble,
    )
    further = _name_further(model, way, masks, seen, most) if way.extra != "none" else None
    panoptic, semantic = _label_masks(model, vocabulary, way, masks, further, seen.scene)
    return SceneLabels(panoptic, semantic, 0 if further is None else len(further.chosen))


def _label_masks(
    model: FrozenSeg,
    vocabulary: Vocabulary,
    way: Way,
    masks: ClassifiedMasks,
    further: _FurtherMasks | None,
    scene: Scene,
) -> tuple[PanopticMap, NDArray[np.uint16]]:
    """Turn classified masks into a panoptic and a semantic map.

    This is the predictor's own last step, with the settings of a way in place of the model's.
    """
    votes = [query_votes(masks)]
    if further is not None:
        logits, probs, chosen = further.logits, further.probs, further.chosen
        votes = list(combine_semantic(masks, logits, probs, way.names.seen, model.everything))
        masks = join_masks(masks, as_proposals(logits[chosen], probs[chosen], masks))
    size = scene.image.shape[:2]
    panoptic = panoptic_merge(
        masks,
        *(size, size, size),
        vocabulary,
        source="model:nano",
        min_score=way.min_score,
        settings=way.merge,
    )
    return panoptic, semantic_map(votes, size, size, size)


def _name_further(
    model: FrozenSeg, way: Way, masks: ClassifiedMasks, seen: SeenScene, most: int | None
) -> _FurtherMasks:
    """Let CLIP name the further masks of a way, and choose those that join the queries'."""
    further = seen.further[way.extra]
    embeddings, _ = model.clip.embed_masks(seen.features.dense, further[None])
    void, scale = model.void_embedding, model.clip.logit_scale
    probs = classify_by_clip(embeddings, way.names, void, scale)[0]
    places = choose_extra(masks, further, probs, way.names.seen, model.everything)
    if most is not None:
        surest = probs[places, :-1].amax(dim=1).argsort(descending=True, stable=True)[:most]
        places = places[surest.sort().values]
    return _FurtherMasks(further, probs, places)
