"""Corrections as memory: what looks like a segment that a person named gets the same name.

CLIP's vector of a mask is compared with those of the person's segments; the nearest ones vote for
their classes, and the votes are added to the logarithms of the class probabilities. Nothing is
trained. Retrieval for panoptic labels: arXiv 2601.12779; the form of the votes is Tip-Adapter's
(arXiv 2111.03930), where far neighbours say next to nothing, so that the words decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.model.proposals import ClassifiedMasks, MaskProposals

NEIGHBOURS, TEMPERATURES = (1, 3, 10), (0.03, 0.06, 0.09, 0.12)
WEIGHTS = (2.0, 4.0, 8.0, 16.0, 32.0)
FEWEST_TRIALS = 100  # segments; fewer tell less than what was measured on nano's drawings
MOST_TRIALS = 2000
_SMALLEST = 1e-12  # a probability whose logarithm is still a number in float32


@dataclass(frozen=True)
class Recall:
    """How strongly neighbours speak.

    Attributes:
        neighbours: how many of the nearest segments vote.
        temperature: a neighbour at cosine c has the vote exp((c - 1) / temperature), 0..1.
        weight: a whole vote adds this to the logarithm of its class's probability.
    """

    neighbours: int = 3
    temperature: float = 0.06
    weight: float = 32.0


AS_MEASURED = Recall()


@dataclass(frozen=True)
class Memory:
    """Segments of known classes, as CLIP saw them.

    Attributes:
        vectors: float32 [M, D], unit length.
        classes: int64 [M], places 0..K-1 in the vocabulary.
        name: tells memories apart, for manifests and people.
        recall: how strongly they speak.
    """

    vectors: Tensor
    classes: Tensor
    name: str = ""
    recall: Recall = AS_MEASURED

    def __post_init__(self) -> None:
        if (
            self.vectors.ndim != 2
            or len(self.vectors) != len(self.classes)
            or not len(self.classes)
        ):
            raise ValueError(f"{tuple(self.vectors.shape)} vectors of {len(self.classes)} classes")

    def renamed(self, masks: ClassifiedMasks, proposals: MaskProposals) -> ClassifiedMasks:
        """Return the masks of the proposals with the neighbours' votes in their classes."""
        probs = self.mixed(masks.class_probs, proposals.clip_embeddings, proposals.valid)
        return replace(masks, class_probs=probs)

    def mixed(self, class_probs: Tensor, embeddings: Tensor, valid: Tensor) -> Tensor:
        """Return class probabilities with the neighbours' votes; void keeps its probability.

        Args:
            class_probs: [..., Q, K + 1], void last.
            embeddings: [..., Q, D], CLIP's vectors of the masks, of any length.
            valid: bool [..., Q], whether they are meaningful; other masks keep what they have.
        """
        unit = F.normalize(embeddings.float(), dim=-1)
        cosines = unit @ self.vectors.T  # [..., Q, M]
        nearest = cosines.topk(min(self.recall.neighbours, len(self.classes)), dim=-1)
        classes = self.classes[nearest.indices]
        named = _with_votes(class_probs[..., :-1].float(), nearest.values, classes, self.recall)
        void = class_probs[..., -1:].float()
        mixed = torch.cat([named * (1 - void), void], dim=-1)
        return torch.where(valid[..., None], mixed, class_probs.float()).to(class_probs.dtype)

    def tuned(self, images: Tensor, class_probs: Tensor) -> "Memory":
        """Return the memory that speaks as suits it.

        Each segment is named by those of the other images, twice: by all of them, and as if nobody
        had corrected its class, for masks of such classes must keep what the words say. The recall
        is the one of a small grid that gives the true classes the highest mean probability. Where
        fewer than `FEWEST_TRIALS` segments have one of their class in another image, it stays.

        Args:
            images: int64 [M], the image of each segment.
            class_probs: [M, K], the classes of the segments by words only.
        """
        same_class = self.classes[:, None] == self.classes  # [M, M]
        same_image = images[:, None] == images
        trials = (same_class & ~same_image).any(dim=1).nonzero()[:, 0]
        if len(trials) < FEWEST_TRIALS:
            return self
        trials = trials[:: -(-len(trials) // MOST_TRIALS)]
        cosines = self.vectors[trials] @ self.vectors.T  # [T, M]
        hidden = same_image[trials], (same_image | same_class)[trials]
        most = min(max(NEIGHBOURS), len(self.classes))
        nearest = [cosines.masked_fill(some, -1.0).topk(most, dim=1) for some in hidden]
        true, by_words = self.classes[trials][:, None], class_probs[trials]

        # Not the mean logarithm: that fears the few segments that look like another class, and
        # chose a memory too quiet (by 3 points of accuracy, recipes/nano).
        def quality(recall: Recall) -> float:
            some = slice(recall.neighbours)
            named = [
                _with_votes(by_words, of.values[:, some], self.classes[of.indices][:, some], recall)
                for of in nearest
            ]
            return sum(float(probs.gather(1, true).mean()) for probs in named)

        return replace(self, recall=max(_grid(), key=quality))


def _with_votes(probs: Tensor, cosines: Tensor, classes: Tensor, recall: Recall) -> Tensor:
    """Return [..., K], summing to 1.

    Args:
        probs: [..., K] by words, of any sum.
        cosines: [..., k] of the nearest neighbours.
        classes: int64 [..., k], theirs.
    """
    votes = ((cosines - 1) / recall.temperature).exp()
    logits = probs.clamp(min=_SMALLEST).log()
    return logits.scatter_add(-1, classes, recall.weight * votes).softmax(dim=-1)


def _grid() -> Iterator[Recall]:
    return (Recall(*values) for values in product(NEIGHBOURS, TEMPERATURES, WEIGHTS))
