"""From names to a predictor: weights, vocabulary, device."""

import logging
from pathlib import Path
from typing import Literal

import torch

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.known_words import stored_tokens, unknown_words
from frozenseg_label.checkpoints.named_weights import cache_folder, find_weights, frozen_folder
from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.vocabulary import Vocabulary

MOST_WORDS = 10  # that a warning spells out

log = logging.getLogger(__name__)


def load_predictor(
    weights: str | Path,
    vocabulary: Vocabulary,
    *,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    min_score: float = 0.0,
    sam_masks: bool = False,
    semantic: bool = False,
) -> Predictor:
    """Load a model and teach it a vocabulary; text embeddings are kept in the cache.

    Args:
        weights: a name, or a checkpoint of ours.
        device: cpu, cuda, cuda:1 or mps; auto is cuda where there is one, else cpu.
        precision: auto is bf16 on CUDA, else fp32.
        min_score: see `Predictor`, as are the others.
    """
    place = choose_device(device)
    path = find_weights(weights)
    _warn_of_unknown_words(path, vocabulary)
    model, info = load_checkpoint(path, frozen_folder())
    model.to(place)
    with torch.inference_mode():
        names = build_text_classifier(
            model.clip,
            vocabulary,
            info.seen_names,
            clip_fingerprint=info.clip_hash,
            cache_folder=cache_folder() / "text",
        )
    return Predictor(
        model=model,
        names=names,
        vocabulary=vocabulary,
        source=f"model:{info.fingerprint[:12]}",
        device=place,
        bf16=precision == "bf16" or (precision == "auto" and place.type == "cuda"),
        min_score=min_score,
        sam_masks=sam_masks,
        semantic=semantic,
        clip=info.clip_hash,
    )


def _warn_of_unknown_words(weights: Path, vocabulary: Vocabulary) -> None:
    words = unknown_words(vocabulary.all_names(), stored_tokens(weights))
    if words:
        shown = ", ".join(words[:MOST_WORDS]) + (", ..." if len(words) > MOST_WORDS else "")
        log.warning(
            "%s never met %d of the words: %s. Labels by them are guesses; "
            "`frozenseg-label vocab check` says more.",
            weights.stem,
            len(words),
            shown,
        )


def choose_device(name: str) -> torch.device:
    """Return the device of a name; FrozenSegLabelError where this machine has none such."""
    if name == "auto":  # mps has not been tried, so it is taken by name alone
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FrozenSegLabelError(
            f"device {name!r} cannot be used here ({reason}); use --device auto or cpu"
        ) from error
    return device
