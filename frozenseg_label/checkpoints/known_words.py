"""The words that a text tower knows: small towers store only the tokens of their training."""

from collections.abc import Iterable
from pathlib import Path

from safetensors import safe_open

from frozenseg_label.checkpoints.header import read_header
from frozenseg_label.model.clip_backbone import tokenize

_STORED = "clip.model.token_embedding.token_ids"
_BEGIN_AND_END = {0, 49406, 49407}  # and the zeros after them, in CLIP's tokeniser


def stored_tokens(checkpoint: Path) -> frozenset[int] | None:
    """Read the tokens that have a row of their own; None where all have, as in published CLIPs."""
    read_header(checkpoint)  # raises an error that says what another kind of file is
    with safe_open(checkpoint, framework="pt") as tensors:
        if _STORED not in tensors.keys():  # noqa: SIM118 - not a mapping
            return None
        return frozenset(tensors.get_tensor(_STORED).tolist())


def unknown_words(names: Iterable[str], stored: frozenset[int] | None) -> tuple[str, ...]:
    """Return the words of names with a token that is not stored, each once, in order.

    All tokens that are not stored share one row, so two names with them may mean the same to the
    tower.
    """
    if stored is None:
        return ()
    words = list(dict.fromkeys(word for name in names for word in name.split()))
    if not words:
        return ()
    rows = tokenize(words).tolist()
    return tuple(
        word
        for word, tokens in zip(words, rows, strict=True)
        if not stored.issuperset(set(tokens) - _BEGIN_AND_END)
    )
