"""How good nano's decoder is on scenes: recall of its masks, panoptic quality of its maps."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.inference.panoptic_merge import panoptic_merge
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.vocabulary import Vocabulary


@torch.no_grad()
def score_scenes(
    model: FrozenSeg,
    names: TextClassifier,
    vocabulary: Vocabulary,
    scenes: Sequence[tuple[Scene, Features]],
) -> dict[str, float]:
    """Return recall at IoU 0.5 and PQ in per cent, of seen and unseen categories apart.

    Args:
        scenes: each with its features.
    """
    was_training = model.training
    model.eval()
    id_of = {category.name: category.id for category in vocabulary.categories}
    seen = {c.id for c, is_seen in zip(vocabulary.categories, names.seen, strict=True) if is_seen}
    tally = PanopticTally()
    found: dict[int, list[bool]] = defaultdict(list)
    for scene, features in scenes:
        truth = {segment.id: id_of[segment.name] for segment in scene.segments}
        proposals = model.propose(features.to(torch.float32))
        for category, hit in recalled(proposals.mask_logits, scene.ids, truth):
            found[category].append(hit)
        size = scene.image.shape[:2]
        framing = Framing(size, size, size)  # scenes have no padding
        masks = model.classify(proposals, names)
        made = panoptic_merge(masks, framing, vocabulary, source="model:nano", settings=model.merge)
        tally.add(made.panoptic, scene.truth(vocabulary))
    model.train(was_training)
    return _summary(tally, found, seen, {c.id for c in vocabulary.categories if c.is_thing})


def recalled(
    masks: Tensor, ids: NDArray[np.int32], truth: Mapping[int, int]
) -> list[tuple[int, bool]]:
    """Return for each true segment its category, and whether some mask covers it with IoU 0.5.

    Args:
        masks: logits [1, M, h, w].
        ids: [H, W] of the true segments.
        truth: true segment -> category.
    """
    if not masks.shape[1]:
        return [(category, False) for category in truth.values()]
    logits = F.interpolate(masks.cpu(), size=ids.shape, mode="bilinear")[0]
    inside = (logits > 0).flatten(1).float()  # [Q, H W]
    true = torch.from_numpy(np.stack([ids == i for i in truth])).flatten(1).float()  # [N, H W]
    both: Tensor = true @ inside.T  # [N, Q]
    iou = both / (true.sum(dim=1)[:, None] + inside.sum(dim=1)[None] - both)
    hits = (iou.max(dim=1).values >= 0.5).tolist()
    return list(zip(truth.values(), hits, strict=True))


def _summary(
    tally: PanopticTally,
    found: Mapping[int, Sequence[bool]],
    seen: Collection[int],
    things: Collection[int],
) -> dict[str, float]:
    scores = {}
    for name, is_seen in (("seen", True), ("unseen", False)):
        group = [category for category in found if (category in seen) == is_seen]
        scores[f"pq_{name}"] = round(100.0 * tally.mean(group).pq, 2)
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
