"""Counts over scenes of the nano world: each encoder by itself, the decoder's masks, labels.

One pass over the scenes serves all ways of turning masks into labels.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.evaluation.semantic_iou import SemanticTally
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import classify_by_clip
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.vocabulary import Vocabulary
from recipes.nano.making.decoder_scores import recalled
from recipes.nano.studying.spread import counts_of, standard_errors
from recipes.nano.studying.ways import SceneLabels, SeenScene, Way, label_scene, look_at


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
        hits: name of a share -> which of the cases were right.
        labels: by the name of a way.
    """

    vocabulary: Vocabulary
    seen: Tensor
    hits: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    labels: dict[str, Labels] = field(default_factory=dict)

    def add(self, model: FrozenSeg, scene: Scene, ways: Mapping[str, Way]) -> None:
        """Look at a scene, label it in all ways, and count.

        Args:
            model: in evaluation mode, on CPU.
            scene: has no padding.
            ways: CLIP is measured with the names of the first one.
        """
        seen = look_at(model, scene)
        self._count_clip(model, seen, next(iter(ways.values())).names)
        self._count_recall(seen)
        most = 0  # masks of SAM that joined
        for name, way in ways.items():
            limit = most if way.extra == "color regions" else None
            made = label_scene(model, self.vocabulary, way, seen, limit)
            self._count_labels(name, scene, made)
            most = made.joined if way.extra == "sam" else most

    def errors(self) -> dict[str, float]:
        """Return standard errors of PQ in points; see `spread`. Gains are over the first way."""
        ids = [category.id for category in self.vocabulary.categories]
        ways = {
            name: np.stack([counts_of(tally, ids) for tally in labels.scenes])
            for name, labels in self.labels.items()
        }
        errors = standard_errors(ways, self._groups(), next(iter(ways)))
        return {name: round(value, 2) for name, value in errors.items()}

    def figures(self) -> dict[str, float]:
        """Return all shares, PQ and mIoU in per cent; means over the classes in the truth."""
        found = {name: 100.0 * float(np.mean(hits)) for name, hits in sorted(self.hits.items())}
        for way, labels in self.labels.items():
            for group, members in self._groups().items():
                ids = {self.vocabulary.categories[i].id for i in members}
                found[f"{way}: PQ {group}"] = 100.0 * labels.panoptic.mean(ids).pq
                iou = labels.semantic.mean(members)
                found[f"{way}: mIoU {group}"] = 100.0 * (iou or 0.0)
        return {name: round(value, 2) for name, value in found.items()}

    def _count_clip(self, model: FrozenSeg, seen: SeenScene, names: TextClassifier) -> None:
        """Count how often CLIP's best name for a true mask is right."""
        scene = seen.scene
        masks = np.stack([scene.ids == segment.id for segment in scene.segments])
        quarter = (scene.ids.shape[0] // 4, scene.ids.shape[1] // 4)
        logits = F.interpolate(torch.from_numpy(masks)[None].float() * 2 - 1, quarter, mode="area")
        embeddings, _ = model.clip.embed_masks(seen.features.dense, logits)
        void, scale = model.void_embedding, model.clip.logit_scale
        best = classify_by_clip(embeddings, names, void, scale)[0, :, :-1].argmax(dim=-1)
        for segment, index in zip(scene.segments, best.tolist(), strict=True):
            truth = self._index(segment.name)
            self.hits[f"CLIP on true masks, {self._kind(truth)}"].append(index == truth)

    def _count_recall(self, seen: SeenScene) -> None:
        """Count the true segments that some mask covers with IoU 0.5."""
        scene = seen.scene
        truth = {segment.id: self._index(segment.name) for segment in scene.segments}
        of_decoder = recalled(seen.proposals.mask_logits, scene.ids, truth)
        of_sam = recalled(seen.further["sam"][None], scene.ids, truth)
        for (index, by_decoder), (_, by_sam) in zip(of_decoder, of_sam, strict=True):
            kind = self._kind(index)
            self.hits[f"recall of the decoder, {kind}"].append(by_decoder)
            self.hits[f"recall with SAM's masks, {kind}"].append(by_decoder or by_sam)
            self.hits[f"recall of SAM's masks, {kind}"].append(by_sam)

    def _count_labels(self, name: str, scene: Scene, made: SceneLabels) -> None:
        """Count the labels that one way gave a scene."""
        true_classes = np.zeros(len(scene.segments) + 1, np.int64)
        for segment in scene.segments:
            true_classes[segment.id] = 1 + self._index(segment.name)
        labels = self.labels.setdefault(name, Labels(len(self.vocabulary)))
        overlap = overlap_of(made.panoptic, scene.truth(self.vocabulary))
        labels.scenes.append(PanopticTally())
        for tally in (labels.panoptic, labels.scenes[-1]):
            tally.add_overlap(overlap)
        labels.semantic.add(made.semantic.astype(np.int64) + 1, true_classes[scene.ids])

    def _groups(self) -> dict[str, set[int]]:
        """Return the places of the seen and of the unseen classes that occur in the truth."""
        counted = next(iter(self.labels.values())).semantic.true_pixels
        true = {int(i) for i in np.flatnonzero(counted)}
        unseen = {i for i in true if not self.seen[i]}
        return {"seen": true - unseen, "unseen": unseen}

    def _index(self, name: str) -> int:
        return next(i for i, c in enumerate(self.vocabulary.categories) if c.name == name)

    def _kind(self, index: int) -> str:
        kind = "things" if self.vocabulary.categories[index].is_thing else "stuff"
        return f"{'seen' if self.seen[index] else 'unseen'} {kind}"
