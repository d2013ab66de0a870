"""The names of a vocabulary as vectors of CLIP space: a value that is passed to the model.

A name is asked in 14 prompts and stands for the mean of what CLIP's text tower answers. This
depends on CLIP's weights, the names and the prompts alone, so it is kept on disk.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from frozenseg_label.errors import CheckpointError
from frozenseg_label.model.clip_backbone import FrozenClip
from frozenseg_label.model.tensor_file import write_tensors
from frozenseg_label.vocabulary import Vocabulary

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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextClassifier:
    """What masks are compared with: S names of K categories.

    Attributes:
        embeddings: float32 [S, D], of unit length; the names of one category stand together.
        synonyms: how many names each of the K categories has, all at least 1; they sum to S.
        seen: bool [K]; True where some name equals a name of the training vocabulary.
    """

    embeddings: Tensor
    synonyms: tuple[int, ...]
    seen: Tensor

    def __post_init__(self) -> None:
        if min(self.synonyms) < 1 or sum(self.synonyms) != len(self.embeddings):
            raise ValueError(f"{len(self.embeddings)} names for {self.synonyms} names per category")
        if len(self.seen) != len(self.synonyms):
            raise ValueError(f"{len(self.seen)} seen flags for {len(self.synonyms)} categories")


def build_text_classifier(
    clip: FrozenClip,
    vocabulary: Vocabulary,
    seen_names: Collection[str],
    *,
    clip_fingerprint: str,
    cache_folder: Path | None = None,
    templates: Sequence[str] = TEMPLATES,
) -> TextClassifier:
    """Ask CLIP about every name of a vocabulary, or the disk if it was asked before.

    Args:
        clip: whose text tower is asked.
        vocabulary: its categories become the classifier's, in the same order.
        seen_names: all names of the training vocabulary.
        clip_fingerprint: tells CLIP's weights from any others.
        cache_folder: where embeddings are kept; a file that is damaged is made again. None keeps
            nothing.
        templates: prompts with `{}` where the name goes.
    """
    names = tuple(dict.fromkeys(vocabulary.all_names()))  # a synonym may serve several categories
    device = clip.logit_scale.device
    if cache_folder is None:
        embeddings = encode_names(clip, names, templates)
    else:
        key = _fingerprint(clip_fingerprint, names, templates, clip.logit_scale.dtype)
        path = cache_folder / f"{key}.safetensors"
        kept = _read_embeddings(path, len(names), clip.embedding_size)
        embeddings = encode_names(clip, names, templates) if kept is None else kept.to(device)
        if kept is None:
            _write_embeddings(path, embeddings)

    row = {name: number for number, name in enumerate(names)}
    rows = torch.tensor([row[name] for name in vocabulary.all_names()], device=device)  # [S]
    categories = vocabulary.categories
    seen = [any(name in seen_names for name in category.names) for category in categories]
    return TextClassifier(
        embeddings[rows], vocabulary.names_per_category, torch.tensor(seen, device=device)
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
    log.info("encoding %d names in %d prompts each", len(names), len(templates))
    parts = []
    # Full precision always: what is kept on disk must not depend on how a run was started.
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


def _fingerprint(
    clip_fingerprint: str, names: Sequence[str], templates: Sequence[str], dtype: torch.dtype
) -> str:
    facts = json.dumps([clip_fingerprint, list(names), list(templates), str(dtype)])
    return hashlib.sha256(facts.encode()).hexdigest()


def _read_embeddings(path: Path, names: int, size: int) -> Tensor | None:
    """Return the kept embeddings [names, size], or None where there is no whole file of them."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            embeddings: Tensor = file.get_tensor("embeddings")
            digest = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError) as error:
        log.warning("%s is damaged (%s); its names are encoded again", path, error)
        return None
    if embeddings.shape != (names, size) or digest != _digest(embeddings):
        log.warning("%s is damaged; its names are encoded again", path)
        return None
    return embeddings


def _write_embeddings(path: Path, embeddings: Tensor) -> None:
    """Keep embeddings in a file that appears whole or not at all; failing costs time only."""
    kept = embeddings.cpu().contiguous()
    try:
        write_tensors(path, {"embeddings": kept}, {"sha256": _digest(kept)})
    except CheckpointError as error:
        log.warning("%s; until then names are encoded anew in every run", error)


def _digest(embeddings: Tensor) -> str:
    return hashlib.sha256(embeddings.numpy().tobytes()).hexdigest()
