"""The words that a text tower knows: small towers store only the tokens of their training."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open

from frozenseg_label.checkpoints.header import read_header
from frozenseg_label.checkpoints.text_cache import keep_vectors, read_vectors
from frozenseg_label.model.clip_backbone import CONTEXT, tokenize

_STORED = "clip.model.token_embedding.token_ids"
_BEGIN_AND_END = {0, 49406, 49407}  # and the zeros after them, in CLIP's tokeniser


def stored_tokens(checkpoint: Path) -> frozenset[int] | None:
    """Read the tokens that have a row of their own; None where all have, as in published CLIPs."""
    read_header(checkpoint)  # raises an error that says what another kind of file is
    with safe_open(checkpoint, framework="pt") as tensors:
        if _STORED not in tensors.keys():  # noqa: SIM118 - not a mapping
            return None
        return frozenset(tensors.get_tensor(_STORED).tolist())


def unknown_words(
    names: Iterable[str], stored: frozenset[int] | None, path: Path | None = None
) -> tuple[str, ...]:
    """Return the words of names with a token that is not stored, each once, in order.

    All tokens that are not stored share one row, so two names with them may mean the same to the
    tower.

    Args:
        stored: as of `stored_tokens`.
        path: of the file where the tokens of words are kept; None keeps nothing.
    """
    if stored is None:
        return ()
    words = list(dict.fromkeys(word for name in names for word in name.split()))
    if not words:
        return ()
    return tuple(
        word
        for word, tokens in zip(words, _tokens(words, path), strict=True)
        if not stored.issuperset(set(tokens) - _BEGIN_AND_END)
    )


def _tokens(words: Sequence[str], path: Path | None) -> list[list[int]]:
    """Return the tokens of each word; the tokeniser takes longer to load than a nano image."""
    keys = {word: hashlib.sha256(word.encode()).digest() for word in words}
    kept = {} if path is None else read_vectors(path, keys.values(), CONTEXT)
    missing = [word for word in words if keys[word] not in kept]
    if missing:
        rows = tokenize(missing).numpy().astype(np.float32)  # exact: they are below 2^24
        found = {keys[word]: row for word, row in zip(missing, rows, strict=True)}
        kept |= found
        if path is not None:
            keep_vectors(path, found)
    return [kept[keys[word]].astype(int).tolist() for word in words]
