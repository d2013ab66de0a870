"""The names of a vocabulary as vectors of CLIP space: a value that is passed to the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.model.clip_backbone import FrozenClip

TEMPLATES = (
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    "a photo of a small {}.",
    "a photo of a medium {}.",
    "a photo of a large {}.",
    "This is a photo of a small {}.",
    "This is a photo of a medium {}.",
    "This is a photo of a large {}.",
    "There is a small {} in the scene.",
    "There is a medium {} in the scene.",
    "There is a large {} in the scene.",
)


@dataclass(frozen=True)
class RivalWords:
    """Words that compete with the categories, and that nothing is labelled with.

    Attributes:
        background: float32 [N, D], of unit length; a mask that one of them fits best is void.
        background_seen: bool [N]; True where the word is in the training vocabulary.
        confusable: float32 [M, D]; a mask that one fits better than its category is not of that
            category.
        speaks_against: int64 [M], index of that category.
    """

    background: Tensor
    background_seen: Tensor
    confusable: Tensor
    speaks_against: Tensor


@dataclass(frozen=True)
class TextClassifier:
    """The vectors that masks are compared with: S names of K categories.

    Attributes:
        embeddings: float32 [S, D], of unit length; the names of one category are neighbours.
        synonyms: how many names each of the K categories has, all at least 1; they sum to S.
        seen: bool [K]; True where some name equals a name of the training vocabulary.
        rivals: words that compete with the categories where masks are labelled; None: there are
            none. Training passes over them.
    """

    embeddings: Tensor
    synonyms: tuple[int, ...]
    seen: Tensor
    rivals: RivalWords | None = None

    def __post_init__(self) -> None:
        if min(self.synonyms) < 1 or sum(self.synonyms) != len(self.embeddings):
            raise ValueError(f"{len(self.embeddings)} names for {self.synonyms} names per category")
        if len(self.seen) != len(self.synonyms):
            raise ValueError(f"{len(self.seen)} seen flags for {len(self.synonyms)} categories")

    def to(self, device: torch.device) -> "TextClassifier":
        """Return the same vectors on a device."""
        rivals = self.rivals
        if rivals is not None:
            rivals = RivalWords(*(tensor.to(device) for tensor in vars(rivals).values()))
        return TextClassifier(
            self.embeddings.to(device), self.synonyms, self.seen.to(device), rivals
        )


def encode_names(
    clip: FrozenClip,
    names: Sequence[str],
    templates: Sequence[str] = TEMPLATES,
    batch_size: int = 32,
) -> Tensor:
    """Return one unit vector per name, float32 [S, D].

    Args:
        clip: whose text tower is asked.
        names: S of them.
        templates: prompts with `{}` where the name goes.
        batch_size: names that are encoded at once.
    """
    parts = []
    # Full precision always: the vectors on disk must not depend on the precision of a run.
    with torch.no_grad(), torch.autocast(clip.logit_scale.device.type, enabled=False):
        for first in range(0, len(names), batch_size):
            batch = names[first : first + batch_size]
            prompts = [template.format(name) for name in batch for template in templates]
            parts.append(average_templates(clip.encode_text(prompts), len(templates)))
    return torch.cat(parts)


def average_templates(embeddings: Tensor, templates: int) -> Tensor:
    """Return the normalised mean of each name's normalised embeddings, float32 [S, D].

    Args:
        embeddings: [S T, D], all T templates of the first name first.
        templates: T.
    """
    unit = F.normalize(embeddings.float(), dim=-1)
    by_name = unit.reshape(-1, templates, unit.shape[-1])  # [S, T, D]
    return F.normalize(by_name.mean(dim=1), dim=-1)
