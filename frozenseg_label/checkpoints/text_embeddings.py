"""Text embeddings of names, kept on disk; annotate and train get them here.

A name is put into 14 prompts; its vector is the mean of the vectors that CLIP's text tower gives
them. It depends only on CLIP's weights, the names and the prompts, so it is kept.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.named_weights import find_weights, frozen_folder
from frozenseg_label.checkpoints.tensor_file import write_tensors
from frozenseg_label.errors import CheckpointError
from frozenseg_label.model.clip_backbone import FrozenClip
from frozenseg_label.model.text_classifier import TEMPLATES, TextClassifier, encode_names
from frozenseg_label.vocabulary import Vocabulary, seen_categories

log = logging.getLogger(__name__)


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
        vocabulary: its categories become the classifier's, in the same order.
        seen_names: all names of the training vocabulary.
        clip_fingerprint: hash of CLIP's weights.
        cache_folder: where embeddings are kept; a file that is damaged is made again. None keeps
            nothing.
        templates: prompts with `{}` where the name goes.
    """
    names = tuple(dict.fromkeys(vocabulary.all_names()))  # a synonym may serve several categories
    device = clip.logit_scale.device
    if cache_folder is None:
        embeddings = _encoded(clip, names, templates)
    else:
        key = _fingerprint(clip_fingerprint, names, templates, clip.logit_scale.dtype)
        path = cache_folder / f"{key}.safetensors"
        kept = _read_embeddings(path, len(names), clip.embedding_size)
        embeddings = _encoded(clip, names, templates) if kept is None else kept.to(device)
        if kept is None:
            _write_embeddings(path, embeddings)

    row = {name: number for number, name in enumerate(names)}
    rows = torch.tensor([row[name] for name in vocabulary.all_names()], device=device)  # [S]
    seen = seen_categories(vocabulary, seen_names)
    return TextClassifier(
        embeddings[rows], vocabulary.names_per_category, torch.tensor(seen, device=device)
    )


def encode_words(words: str, weights: str | Path) -> tuple[NDArray[np.float32], str]:
    """Return the unit vector float32 [D] of words, and the hash of the CLIP that made it.

    Args:
        words: a name, or any text.
        weights: a name, or a checkpoint file.
    """
    model, info = load_checkpoint(find_weights(weights), frozen_folder())
    vector: NDArray[np.float32] = _encoded(model.clip, [words], TEMPLATES)[0].numpy()
    return vector, info.clip_hash


def _encoded(clip: FrozenClip, names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Return CLIP's vectors of names, [S, D], and tell the user, because it takes a while."""
    log.info("encoding %d names in %d prompts each", len(names), len(templates))
    return encode_names(clip, names, templates)


def _fingerprint(
    clip_fingerprint: str, names: Sequence[str], templates: Sequence[str], dtype: torch.dtype
) -> str:
    """Return the SHA-256 of everything that decides the vectors."""
    facts = json.dumps([clip_fingerprint, list(names), list(templates), str(dtype)])
    return hashlib.sha256(facts.encode()).hexdigest()


def _read_embeddings(path: Path, names: int, size: int) -> Tensor | None:
    """Return the kept embeddings [names, size], or None where there is no whole file of them."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            embeddings: Tensor = file.get_tensor("embeddings")
            digest = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError) as error:
        log.warning("%s is damaged (%s); its names are encoded again", path, error)
        return None
    is_whole = embeddings.shape == (names, size) and embeddings.dtype == torch.float32
    if not is_whole or digest != _digest(embeddings):
        log.warning("%s is damaged; its names are encoded again", path)
        return None
    return embeddings


def _write_embeddings(path: Path, embeddings: Tensor) -> None:
    """Keep embeddings in a file, whole or not at all; a failure only costs time later."""
    kept = embeddings.cpu().contiguous()
    try:
        write_tensors(path, {"embeddings": kept}, {"sha256": _digest(kept)})
    except CheckpointError as error:
        log.warning("%s; until then names are encoded anew in every run", error)


def _digest(embeddings: Tensor) -> str:
    """Return the SHA-256 of the values."""
    return hashlib.sha256(embeddings.numpy().tobytes()).hexdigest()
