"""Which words a text tower can know."""

import sys
from pathlib import Path

import pytest

from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.known_words import stored_tokens, unknown_words
from frozenseg_label.checkpoints.named_weights import find_weights
from frozenseg_label.model.clip_backbone import tokens_in
from frozenseg_label.model.frozenseg import FrozenSeg


def test_a_word_is_unknown_if_any_of_its_tokens_is_not_stored() -> None:
    stored = frozenset(tokens_in(["cat", "aard"]))
    assert unknown_words(["cat", "aardvark cat"], stored) == ("aardvark",)


def test_words_whose_tokens_are_kept_need_no_tokeniser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, path = frozenset(tokens_in(["cat"])), tmp_path / "words.sqlite"
    assert unknown_words(["cat aardvark"], stored, path) == ("aardvark",)
    monkeypatch.setitem(sys.modules, "open_clip.tokenizer", None)  # cannot be imported now
    assert unknown_words(["cat aardvark"], stored, path) == ("aardvark",)
    with pytest.raises(ImportError):
        unknown_words(["wombat"], stored, path)


def test_upper_case_is_no_other_word() -> None:
    assert unknown_words(["Cat"], frozenset(tokens_in(["cat"]))) == ()


def test_a_tower_with_the_whole_table_knows_every_word(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    save_checkpoint(tmp_path / "whole.safetensors", tiny_frozenseg, "tiny", [], origin="a test")
    assert stored_tokens(tmp_path / "whole.safetensors") is None
    assert unknown_words(["wombat"], None) == ()


@pytest.mark.parametrize("word", ["giraffe", "brick wall"])
def test_nano_knows_the_words_of_its_world_and_no_others(word: str) -> None:
    stored = stored_tokens(find_weights("nano"))
    assert unknown_words([word, "wombat"], stored) == ("wombat",)
