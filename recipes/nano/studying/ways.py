"""Ways of turning the same masks of a scene into labels, so that these can be compared."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.inference.everything_masks import everything_masks
from frozenseg_label.inference.image_proposals import SamProposals
from frozenseg_label.inference.mask_ensemble import (
    FurtherMasks,
    name_further_masks,
)
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import classify_masks
from frozenseg_label.model.proposals import ClassifiedMasks, Features, MaskProposals
from frozenseg_label.model.settings import EnsembleSettings, MergeSettings
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
    framing = Framing(size, size, size)
    everything = everything_masks(model.sam, features.sam, [framing], model.everything)[0]
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
    further: FurtherMasks | None,
    scene: Scene,
) -> tuple[PanopticMap, NDArray[np.uint16]]:
    """Turn classified masks into a panoptic and a semantic map, as the package does."""
    own = copy.copy(model)
    own.merge = way.merge
    predictor = Predictor(
        model=own,
        names=way.names,
        vocabulary=vocabulary,
        source="model:nano",
        device=torch.device("cpu"),
        min_score=way.min_score,
        semantic=True,
    )
    size = scene.image.shape[:2]
    labels = predictor.merge_masks(masks, Framing(size, size, size), further)
    if labels.semantic is None:
        raise ValueError("the predictor gives no semantic map")
    return labels.panoptic, labels.semantic


def _name_further(
    model: FrozenSeg, way: Way, masks: ClassifiedMasks, seen: SeenScene, most: int | None
) -> FurtherMasks:
    """Let CLIP name the further masks of a way, and choose those that join the queries'."""
    logits = seen.further[way.extra]
    embeddings, valid = model.clip.embed_masks(seen.features.dense, logits[None])
    unnamed = SamProposals(logits, embeddings[0], valid[0])
    found = name_further_masks(model, way.names, masks, unnamed)
    if most is None:
        return found
    places = found.chosen
    surest = found.probs[places, :-1].amax(dim=1).argsort(descending=True, stable=True)[:most]
    return replace(found, chosen=places[surest.sort().values])
