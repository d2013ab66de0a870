"""Text embeddings of words, kept on disk; annotate and train get them here.

A word is put into prompts (14, unless its class has its own); its vector is the mean of the vectors
that CLIP's text tower gives them. It depends only on CLIP's weights, the word and its prompts, so
it is kept: a vocabulary of which one word has changed asks the text tower for one word.

Words are encoded in batches. What a batch holds beside a word shows in the last bits of its vector
(differences below 1e-7), so vectors that were kept word by word equal those of one go within
rounding, not bit for bit.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.named_weights import cache_folder as usual_cache
from frozenseg_label.checkpoints.named_weights import find_weights, frozen_folder
from frozenseg_label.checkpoints.text_cache import Vector, keep_vectors, read_vectors
from frozenseg_label.model.clip_backbone import FrozenClip
from frozenseg_label.model.mask_classification import MAX_SCALE
from frozenseg_label.model.text_classifier import (
    TEMPLATES,
    RivalWords,
    TextClassifier,
    encode_names,
)
from frozenseg_label.progress_bar import progress_bar
from frozenseg_label.vocabulary import Vocabulary, same_name, seen_categories

log = logging.getLogger(__name__)

BATCH = 32  # words that are encoded, and then kept, at once
MANY = 100  # words, from which on a bar shows how far it is


class _Wording(NamedTuple):
    """A word and its prompts, which have `{}` where the word goes."""

    word: str
    templates: tuple[str, ...]


def build_text_classifier(
    clip: FrozenClip,
    vocabulary: Vocabulary,
    seen_names: Collection[str],
    *,
    clip_fingerprint: str,
    cache_folder: Path | None = None,
    templates: Sequence[str] = TEMPLATES,
) -> TextClassifier:
    """Return the classifier of a vocabulary: vectors from the disk, or from CLIP the first time.

    Args:
        clip: whose text tower is asked.
        vocabulary: its categories become the classifier's, in the same order; the words that
            compete with them become its rivals.
        seen_names: all names of the training vocabulary.
        clip_fingerprint: hash of CLIP's weights.
        cache_folder: where vectors are kept, in a file for each CLIP; what is damaged is made
            again. None keeps nothing.
        templates: prompts with `{}` where the name goes, for categories without their own.
    """
    usual, categories = tuple(templates), vocabulary.categories
    prompts = [category.templates or usual for category in categories]  # K
    names = [  # S
        _Wording(name, of_category)
        for category, of_category in zip(categories, prompts, strict=True)
        for name in category.names
    ]
    against = [place for place, category in enumerate(categories) for _ in category.not_names]  # M
    not_names = (name for category in categories for name in category.not_names)
    confusable = [_Wording(n, prompts[of]) for n, of in zip(not_names, against, strict=True)]  # M
    background = [_Wording(word, usual) for word in vocabulary.background]  # N

    path = None if cache_folder is None else cache_folder / f"{clip_fingerprint}.sqlite"
    vectors = _vectors(clip, [*names, *confusable, *background], path)
    device = clip.logit_scale.device

    def stacked(wordings: Sequence[_Wording]) -> Tensor:
        rows = np.empty((len(wordings), clip.embedding_size), np.float32)
        for row, wording in zip(rows, wordings, strict=True):
            row[:] = vectors[wording]
        return torch.from_numpy(rows).to(device)

    rivals = None
    if confusable or background:
        in_training = _are_trained(vocabulary.background, seen_names)
        rivals = RivalWords(
            stacked(background),
            torch.tensor(in_training, dtype=torch.bool, device=device),
            stacked(confusable),
            torch.tensor(against, dtype=torch.int64, device=device),
        )
    return TextClassifier(
        stacked(names),
        vocabulary.names_per_category,
        torch.tensor(seen_categories(vocabulary, seen_names), device=device),
        rivals,
    )


def name_vectors(vocabulary: Vocabulary, weights: str | Path) -> tuple[NDArray[np.float32], float]:
    """Return the unit vectors float32 [S, D] of all names, and the scale of CLIP's softmax.

    Args:
        vocabulary: with S names.
        weights: a name, or a checkpoint file.
    """
    model, info = load_checkpoint(find_weights(weights), frozen_folder())
    classifier = build_text_classifier(
        model.clip,
        vocabulary,
        (),
        clip_fingerprint=info.clip_hash,
        cache_folder=usual_cache() / "text",
    )
    scale = model.clip.logit_scale.exp().clamp(max=MAX_SCALE)
    return classifier.embeddings.numpy(), float(scale)


def encode_words(words: str, weights: str | Path) -> tuple[NDArray[np.float32], str]:
    """Return the unit vector float32 [D] of words, and the hash of the CLIP that made it.

    Args:
        words: a name, or any text.
        weights: a name, or a checkpoint file.
    """
    model, info = load_checkpoint(find_weights(weights), frozen_folder())
    wording = _Wording(words, TEMPLATES)
    path = usual_cache() / "text" / f"{info.clip_hash}.sqlite"
    return _vectors(model.clip, [wording], path)[wording], info.clip_hash


def _are_trained(words: Iterable[str], seen_names: Iterable[str]) -> list[bool]:
    """Return for each word whether it was in a training."""
    trained = {same_name(name) for name in seen_names}
    return [same_name(word) in trained for word in words]


def _vectors(
    clip: FrozenClip, wordings: Iterable[_Wording], path: Path | None
) -> dict[_Wording, Vector]:
    """Return the vector float32 [D] of each wording.

    Args:
        path: of the file where they are kept; None keeps nothing.
    """
    dtype = f"{clip.logit_scale.dtype}"
    keys = {wording: _key(wording, dtype) for wording in wordings}
    kept = {} if path is None else read_vectors(path, keys.values(), clip.embedding_size)
    vectors = {wording: kept[key] for wording, key in keys.items() if key in kept}
    missing = [wording for wording in keys if wording not in vectors]
    if not missing:
        return vectors
    log.info("encoding %d words in %d prompts each", len(missing), len(missing[0].templates))
    shown = len(missing) >= MANY and log.isEnabledFor(logging.INFO)
    with progress_bar(len(missing), show=shown, doing="encoding words", unit="word") as bar:
        for batch in _batches(missing):
            found = _encoded(clip, batch)
            vectors |= found
            if path is not None:
                # What an interrupted run has encoded is there the next time.
                path = path if keep_vectors(path, _by_key(found, keys)) else None
            bar.update(len(batch))
    return vectors


def _batches(wordings: Sequence[_Wording]) -> Iterable[list[_Wording]]:
    """Yield wordings, a few that have the same prompts at once."""
    groups: dict[tuple[str, ...], list[_Wording]] = {}
    for wording in wordings:
        groups.setdefault(wording.templates, []).append(wording)
    for group in groups.values():
        for first in range(0, len(group), BATCH):
            yield group[first : first + BATCH]


def _encoded(clip: FrozenClip, batch: Sequence[_Wording]) -> dict[_Wording, Vector]:
    """Return the vectors of wordings that all have the same prompts."""
    with torch.inference_mode():
        vectors = encode_names(clip, [wording.word for wording in batch], batch[0].templates)
    return dict(zip(batch, vectors.cpu().numpy(), strict=True))


def _by_key(vectors: dict[_Wording, Vector], keys: dict[_Wording, bytes]) -> dict[bytes, Vector]:
    return {keys[wording]: vector for wording, vector in vectors.items()}


def _key(wording: _Wording, dtype: str) -> bytes:
    """Return the SHA-256 of everything but CLIP's weights that decides a vector."""
    facts = json.dumps([wording.word, list(wording.templates), dtype])
    return hashlib.sha256(facts.encode()).digest()
