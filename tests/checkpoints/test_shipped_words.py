"""The package has what nano says of the shipped vocabularies: a first run encodes nothing."""

import sys
from pathlib import Path

import pytest
import torch

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.known_words import stored_tokens, unknown_words
from frozenseg_label.checkpoints.named_weights import EMBEDDED
from frozenseg_label.checkpoints.text_cache import SHIPPED
from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.vocabulary_files import read_vocabulary, shipped_vocabularies


def test_no_name_of_a_shipped_vocabulary_is_encoded_by_nano(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, info = load_checkpoint(EMBEDDED, encoders=False)
    stored = stored_tokens(EMBEDDED)
    monkeypatch.setitem(sys.modules, "open_clip.tokenizer", None)  # cannot be imported
    for name in shipped_vocabularies():
        words = read_vocabulary(name)
        build_text_classifier(
            model.clip, words, (), clip_fingerprint=info.clip_hash, cache_folder=tmp_path
        )
        unknown_words(words.all_words(), stored, tmp_path / "tokens.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_what_is_shipped_is_what_nano_says(tmp_path: Path) -> None:
    model, info = load_checkpoint(EMBEDDED, encoders=False)
    words = read_vocabulary("stickers")
    found, encoded = (
        build_text_classifier(
            model.clip, words, (), clip_fingerprint=fingerprint, cache_folder=tmp_path
        ).embeddings
        for fingerprint in (info.clip_hash, "unknown")
    )
    torch.testing.assert_close(found, encoded, atol=1e-6, rtol=0)


def test_what_is_shipped_is_small() -> None:
    assert 0 < sum(file.stat().st_size for file in SHIPPED.iterdir()) < 1_500_000
