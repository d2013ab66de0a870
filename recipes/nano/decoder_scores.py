"""How good nano's decoder is on scenes: recall of its masks, panoptic quality of its maps."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.inference.panoptic_merge import panoptic_merge
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import ClassifiedMasks, MaskProposals
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.feature_cache import CachedSample, collate
from frozenseg_label.vocabulary import Vocabulary


@dataclass
class Tally:
    """Of one category: sum of the IoUs of the pairs, their number, and what found no partner."""

    iou: float = 0.0
    pairs: int = 0
    only_predicted: int = 0
    only_true: int = 0

    @property
    def quality(self) -> float:
        """PQ in 0..1 (Kirillov et al. 2019)."""
        return self.iou / (self.pairs + 0.5 * (self.only_predicted + self.only_true))


@torch.no_grad()
def score_scenes(
    model: FrozenSeg,
    names: TextClassifier,
    vocabulary: Vocabulary,
    scenes: Sequence[tuple[Scene, CachedSample]],
) -> dict[str, float]:
    """Return recall at IoU 0.5 and PQ in per cent, of seen and unseen categories apart."""
    was_training = model.training
    model.eval()
    id_of = {category.name: category.id for category in vocabulary.categories}
    seen = {c.id for c, is_seen in zip(vocabulary.categories, names.seen, strict=True) if is_seen}
    tallies: dict[int, Tally] = defaultdict(Tally)
    found: dict[int, list[bool]] = defaultdict(list)
    for scene, sample in scenes:
        truth = {segment.id: id_of[segment.name] for segment in scene.segments}
        proposals = model.propose(collate([sample]).features)
        for category, hit in recalled(proposals, scene.ids, truth):
            found[category].append(hit)
        ids, predicted = label(model.classify(proposals, names), scene.image.shape[:2], vocabulary)
        count_pairs(tallies, ids, predicted, scene.ids, truth)
    model.train(was_training)
    return _summary(tallies, found, seen, {c.id for c in vocabulary.categories if c.is_thing})


def label(
    masks: ClassifiedMasks, size: tuple[int, int], vocabulary: Vocabulary
) -> tuple[NDArray[np.int32], dict[int, int]]:
    """Return the predicted ids [H, W] and the category of each id; scenes have no padding."""
    made = panoptic_merge(masks, size, size, size, vocabulary, source="model:nano")
    return made.ids, {segment.id: segment.category_id for segment in made.segments}


def recalled(
    proposals: MaskProposals, ids: NDArray[np.int32], truth: Mapping[int, int]
) -> list[tuple[int, bool]]:
    """Say for each true segment its category, and whether some mask covers it with IoU 0.5."""
    logits = F.interpolate(proposals.mask_logits, size=ids.shape, mode="bilinear")[0]
    inside = (logits > 0).flatten(1).float()  # [Q, H W]
    true = torch.from_numpy(np.stack([ids == i for i in truth])).flatten(1).float()  # [N, H W]
    both: Tensor = true @ inside.T  # [N, Q]
    iou = both / (true.sum(dim=1)[:, None] + inside.sum(dim=1)[None] - both)
    hits = (iou.max(dim=1).values >= 0.5).tolist()
    return list(zip(truth.values(), hits, strict=True))


def count_pairs(
    tallies: Mapping[int, Tally],
    ids: NDArray[np.int32],
    predicted: Mapping[int, int],
    true_ids: NDArray[np.int32],
    truth: Mapping[int, int],
) -> None:
    """Add one image to the tallies; pixels that are truly unlabelled count for nobody."""
    base = int(true_ids.max()) + 1
    codes, areas = np.unique(ids.astype(np.int64) * base + true_ids, return_counts=True)
    overlap = {divmod(int(c), base): int(a) for c, a in zip(codes, areas, strict=True)}
    area = {i: sum(a for (p, _), a in overlap.items() if p == i) for i in predicted}
    true_area = {i: sum(a for (_, t), a in overlap.items() if t == i) for i in truth}
    paired, true_paired = set(), set()
    for (i, t), both in overlap.items():
        if i in predicted and t in truth and predicted[i] == truth[t]:
            iou = both / (area[i] + true_area[t] - both - overlap.get((i, 0), 0))
            if iou > 0.5:
                tallies[truth[t]].iou += iou
                tallies[truth[t]].pairs += 1
                paired.add(i)
                true_paired.add(t)
    for t in truth.keys() - true_paired:
        tallies[truth[t]].only_true += 1
    for i in predicted.keys() - paired:
        if overlap.get((i, 0), 0) <= 0.5 * area[i]:
            tallies[predicted[i]].only_predicted += 1


def _summary(
    tallies: Mapping[int, Tally],
    found: Mapping[int, Sequence[bool]],
    seen: Collection[int],
    things: Collection[int],
) -> dict[str, float]:
    scores = {}
    for name, is_seen in (("seen", True), ("unseen", False)):
        of_group = [t.quality for c, t in tallies.items() if (c in seen) == is_seen and c in found]
        scores[f"pq_{name}"] = _percent(of_group)
        for kind, is_thing in (("things", True), ("stuff", False)):
            hits = [
                hit
                for category, some in found.items()
                if (category in seen) == is_seen and (category in things) == is_thing
                for hit in some
            ]
            scores[f"recall_{name}_{kind}"] = _percent(hits)
    return scores


def _percent(values: Sequence[float]) -> float:
    return round(100.0 * float(np.mean(values)), 2) if values else 0.0
