"""What is measured on scenes of the nano world: each encoder alone, the decoder's masks, labels.

One pass over the scenes serves all ways of turning masks into labels, so that these are compared
on the same masks.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.evaluation.semantic_iou import SemanticTally
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
from frozenseg_label.vocabulary import Vocabulary
from recipes.nano.making.decoder_scores import recalled
from recipes.nano.studying.color_regions import color_regions
from recipes.nano.studying.spread import counts_of, standard_errors

Extra = Literal["none", "sam", "color regions"]


@dataclass(frozen=True)
class Way:
    """One way of turning masks into labels.

    Attributes:
        names: the text classifier of the vocabulary.
        ensemble: how the branches' opinions are joined.
        extra: further masks that CLIP alone names, for unseen categories. The colour regions are
            the control of SAM's masks: of each image the surest ones, as many as joined in the way
            with SAM's before it.
        merge: which masks become segments.
        min_score: less probable segments are left out of the panoptic labels, 0..1.
    """

    names: TextClassifier
    ensemble: EnsembleSettings
    merge: MergeSettings
    extra: Extra = "none"
    min_score: float = 0.0


def own_ways(model: FrozenSeg, names: TextClassifier) -> dict[str, Way]:
    """A model's own way, and the same with SAM's masks."""
    return {
        "whole": Way(names, model.ensemble, model.merge),
        "with SAM's masks": Way(names, model.ensemble, model.merge, "sam"),
    }


@dataclass
class Labels:
    """Panoptic and semantic counts of one way.

    Attributes:
        scenes: panoptic counts of each scene.
    """

    classes: int
    panoptic: PanopticTally = field(default_factory=PanopticTally)
    scenes: list[PanopticTally] = field(default_factory=list)
    semantic: SemanticTally = field(init=False)

    def __post_init__(self) -> None:
        self.semantic = SemanticTally(self.classes)


@dataclass
class Measures:
    """Counts over scenes.

    Attributes:
        vocabulary: all words, ids 1 to K in order.
        seen: bool [K].
        hits: name of a share -> what was met and what not.
        labels: by the name of a way.
    """

    vocabulary: Vocabulary
    seen: Tensor
    hits: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    labels: dict[str, Labels] = field(default_factory=dict)

    def add(self, model: FrozenSeg, scene: Scene, ways: Mapping[str, Way]) -> None:
        """See a scene, name it in all ways, and count.

        Args:
            model: in evaluation mode, on CPU; scenes have no padding.
        """
        pixels = torch.from_numpy(scene.image.copy()).permute(2, 0, 1)[None].float()
        size = scene.image.shape[:2]
        features = model.extract_features(pixels, [size])
        proposals = model.propose(features)
        everything = everything_masks(model.sam, features.sam, size, [size], model.everything)[0]
        self._count_clip(model, scene, features, ways)
        self._count_recall(scene, proposals, everything)
        most, others = 0, color_regions(scene.image, proposals.mask_logits.shape[-2:])
        for name, way in ways.items():
            further = {"none": None, "sam": everything, "color regions": others}[way.extra]
            if name not in self.labels:
                self.labels[name] = Labels(len(self.vocabulary))
            limit = most if way.extra == "color regions" else None
            joined = self._count_labels(
                name, model, scene, way, features, proposals, further, limit
            )
            most = joined if way.extra == "sam" else most

    def errors(self) -> dict[str, float]:
        """Standard errors of PQ, in points; see `spread`. The first way is what others add to."""
        ids = [category.id for category in self.vocabulary.categories]
        ways = {
            name: np.stack([counts_of(tally, ids) for tally in labels.scenes])
            for name, labels in self.labels.items()
        }
        errors = standard_errors(ways, self._groups(), next(iter(ways)))
        return {name: round(value, 2) for name, value in errors.items()}

    def figures(self) -> dict[str, float]:
        """All shares, PQ and mIoU in per cent; means over the classes that occur in the truth."""
        found = {name: 100.0 * float(np.mean(hits)) for name, hits in sorted(self.hits.items())}
        for way, labels in self.labels.items():
            for group, members in self._groups().items():
                ids = {self.vocabulary.categories[i].id for i in members}
                found[f"{way}: PQ {group}"] = 100.0 * labels.panoptic.mean(ids).pq
                iou = labels.semantic.mean(members)
                found[f"{way}: mIoU {group}"] = 100.0 * (iou or 0.0)
        return {name: round(value, 2) for name, value in found.items()}

    def _count_clip(
        self, model: FrozenSeg, scene: Scene, features: Features, ways: Mapping[str, Way]
    ) -> None:
        """Is CLIP's best name for each true mask right? With the names of the first way."""
        names = next(iter(ways.values())).names
        masks = np.stack([scene.ids == segment.id for segment in scene.segments])
        quarter = (scene.ids.shape[0] // 4, scene.ids.shape[1] // 4)
        logits = F.interpolate(torch.from_numpy(masks)[None].float() * 2 - 1, quarter, mode="area")
        embeddings, _ = model.clip.embed_masks(features.dense, logits)
        void, scale = model.void_embedding, model.clip.logit_scale
        best = classify_by_clip(embeddings, names, void, scale)[0, :, :-1].argmax(dim=-1)
        for segment, index in zip(scene.segments, best.tolist(), strict=True):
            truth = self._index(segment.name)
            self.hits[f"CLIP on true masks, {self._kind(truth)}"].append(index == truth)

    def _count_recall(self, scene: Scene, proposals: MaskProposals, everything: Tensor) -> None:
        """Which true segments does some mask cover with IoU 0.5?"""
        truth = {segment.id: self._index(segment.name) for segment in scene.segments}
        of_decoder = recalled(proposals.mask_logits, scene.ids, truth)
        of_sam = recalled(everything[None], scene.ids, truth)
        for (index, by_decoder), (_, by_sam) in zip(of_decoder, of_sam, strict=True):
            kind = self._kind(index)
            self.hits[f"recall of the decoder, {kind}"].append(by_decoder)
            self.hits[f"recall with SAM's masks, {kind}"].append(by_decoder or by_sam)
            self.hits[f"recall of SAM's masks, {kind}"].append(by_sam)

    def _count_labels(
        self,
        name: str,
        model: FrozenSeg,
        scene: Scene,
        way: Way,
        features: Features,
        proposals: MaskProposals,
        further: Tensor | None,
        most: int | None,
    ) -> int:
        """Count the labels of one way; returns how many further masks have joined."""
        masks, joined = _classify(model, way, proposals), 0
        votes = [query_votes(masks)]
        if further is not None:
            places, probs = _extra(model, way, features, masks, further, most)
            joined = len(places)
            votes = list(combine_semantic(masks, further, probs, way.names.seen, model.everything))
            masks = join_masks(masks, as_proposals(further[places], probs[places], masks))
        size = scene.image.shape[:2]
        made = panoptic_merge(
            masks,
            size,
            size,
            size,
            self.vocabulary,
            source="model:nano",
            min_score=way.min_score,
            settings=way.merge,
        )
        classes = semantic_map(votes, size, size, size)
        true_classes = np.zeros(len(scene.segments) + 1, np.int64)
        for segment in scene.segments:
            true_classes[segment.id] = 1 + self._index(segment.name)
        labels = self.labels[name]
        overlap = overlap_of(made, scene.truth(self.vocabulary))
        labels.scenes.append(PanopticTally())
        for tally in (labels.panoptic, labels.scenes[-1]):
            tally.add_overlap(overlap)
        labels.semantic.add(classes.astype(np.int64) + 1, true_classes[scene.ids])
        return joined

    def _groups(self) -> dict[str, set[int]]:
        """Places of the seen and of the unseen classes that occur in the truth."""
        counted = next(iter(self.labels.values())).semantic.true_pixels
        true = {int(i) for i in np.flatnonzero(counted)}
        unseen = {i for i in true if not self.seen[i]}
        return {"seen": true - unseen, "unseen": unseen}

    def _index(self, name: str) -> int:
        return next(i for i, c in enumerate(self.vocabulary.categories) if c.name == name)

    def _kind(self, index: int) -> str:
        kind = "things" if self.vocabulary.categories[index].is_thing else "stuff"
        return f"{'seen' if self.seen[index] else 'unseen'} {kind}"


def _classify(model: FrozenSeg, way: Way, proposals: MaskProposals) -> ClassifiedMasks:
    return classify_masks(
        proposals,
        way.names,
        model.void_embedding,
        in_scale=model.transformer_decoder.logit_scale,
        out_scale=model.clip.logit_scale,
        settings=way.ensemble,
    )


def _extra(
    model: FrozenSeg,
    way: Way,
    features: Features,
    masks: ClassifiedMasks,
    further: Tensor,
    most: int | None,
) -> tuple[Tensor, Tensor]:
    """Which further masks join the queries' [N], at most so many; and what CLIP calls all of them.

    Returns:
        Places among the M masks [N], and probabilities [M, K + 1].
    """
    embeddings, _ = model.clip.embed_masks(features.dense, further[None])
    void, scale = model.void_embedding, model.clip.logit_scale
    probs = classify_by_clip(embeddings, way.names, void, scale)[0]
    places = choose_extra(masks, further, probs, way.names.seen, model.everything)
    if most is not None:
        surest = probs[places, :-1].amax(dim=1).argsort(descending=True, stable=True)[:most]
        places = places[surest.sort().values]
    return places, probs
