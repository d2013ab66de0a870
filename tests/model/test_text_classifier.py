"""Names become vectors of CLIP space, once."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from frozenseg_label.checkpoints.text_cache import keep_vectors, read_vectors
from frozenseg_label.checkpoints.text_embeddings import BATCH, build_text_classifier
from frozenseg_label.model.clip_backbone import ConvNextClip, TextTower, convnext_clip
from frozenseg_label.model.text_classifier import (
    TEMPLATES,
    TextClassifier,
    average_templates,
    encode_names,
)
from frozenseg_label.vocabulary import Category, Vocabulary

PETS = Vocabulary(
    "pets",
    (
        Category("cat", 1, ("kitten", "feline")),
        Category("feline", 2),
        Category("sky", 3, ("clouds",), is_thing=False),
    ),
)


@pytest.fixture
def clip() -> ConvNextClip:
    torch.manual_seed(0)
    ids = tuple(range(0, 49408, 7))
    return convnext_clip(12, (1, 1, 1, 1), (4, 4, 4, 4), TextTower(16, 2, 1, token_ids=ids)).eval()


def forget(clip: ConvNextClip) -> None:
    """Make the text tower answer NaN from now on."""
    torch.nn.init.constant_(clip.model.ln_final.weight, torch.nan)


def test_every_name_has_a_unit_vector_and_every_category_knows_its_names(
    clip: ConvNextClip,
) -> None:
    classifier = build_text_classifier(clip, PETS, {"kitten", "sea"}, clip_fingerprint="a")
    assert classifier.synonyms == (3, 1, 2)
    assert classifier.embeddings.shape == (6, 12)
    assert classifier.embeddings.dtype == torch.float32
    assert_close(classifier.embeddings.norm(dim=-1), torch.ones(6))
    assert classifier.seen.tolist() == [True, False, False]
    assert not classifier.embeddings.requires_grad


def test_a_category_is_seen_where_a_name_is_one_of_training_however_it_is_spelt(
    clip: ConvNextClip,
) -> None:
    classifier = build_text_classifier(clip, PETS, ["Cat", "clouds "], clip_fingerprint="a")
    assert classifier.seen.tolist() == [True, False, True]
    classifier = build_text_classifier(clip, PETS, ["feline"], clip_fingerprint="a")
    assert classifier.seen.tolist() == [True, True, False]


def test_a_name_of_two_categories_has_one_vector(clip: ConvNextClip) -> None:
    embeddings = build_text_classifier(clip, PETS, (), clip_fingerprint="a").embeddings
    assert torch.equal(embeddings[2], embeddings[3])


def test_a_name_is_the_mean_of_what_its_prompts_say() -> None:
    prompts = torch.tensor([[2.0, 0.0], [0.0, 5.0], [0.0, 1.0], [0.0, 3.0]])
    expected = torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 1.0]])
    assert_close(average_templates(prompts, 2), expected)


def test_names_are_encoded_alike_in_any_batch_size(clip: ConvNextClip) -> None:
    names = ["cat", "a rather long name of a thing", "sky"]
    one_by_one = encode_names(clip, names, batch_size=1)
    assert_close(encode_names(clip, names, batch_size=3), one_by_one, atol=1e-6, rtol=1e-5)


def test_names_are_encoded_in_full_precision_even_under_autocast(clip: ConvNextClip) -> None:
    expected = encode_names(clip, ["cat"])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encode_names(clip, ["cat"]), expected)


def test_a_second_run_with_the_same_vocabulary_encodes_nothing(
    clip: ConvNextClip, tmp_path: Path
) -> None:
    first = build_text_classifier(clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path)
    forget(clip)
    second = build_text_classifier(clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path)
    assert torch.equal(second.embeddings, first.embeddings)
    assert [path.name for path in tmp_path.iterdir()] == ["a.sqlite"]


def test_a_changed_word_asks_the_text_tower_for_that_word_only(
    clip: ConvNextClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    encode = clip.encode_text
    monkeypatch.setattr(
        clip, "encode_text", lambda prompts: asked.extend(prompts) or encode(prompts)
    )
    build_text_classifier(clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path)
    assert len(asked) == 5 * len(TEMPLATES)  # "feline" serves two categories
    asked.clear()
    changed = Vocabulary("pets", (*PETS.categories[:2], Category("moon", 3, ("clouds",))))
    kept = build_text_classifier(clip, changed, (), clip_fingerprint="a", cache_folder=tmp_path)
    assert asked == [template.format("moon") for template in TEMPLATES]
    afresh = build_text_classifier(clip, changed, (), clip_fingerprint="a")
    assert_close(kept.embeddings, afresh.embeddings, atol=1e-6, rtol=0)


def test_what_was_encoded_before_an_interruption_is_kept(
    clip: ConvNextClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = Vocabulary("many", tuple(Category(f"name {i}", i) for i in range(BATCH + 1)))
    encode, asked = clip.encode_text, []

    def interrupted(prompts: list[str]) -> torch.Tensor:
        asked.append(len(prompts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return encode(prompts)

    monkeypatch.setattr(clip, "encode_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_text_classifier(clip, many, (), clip_fingerprint="a", cache_folder=tmp_path)
    build_text_classifier(clip, many, (), clip_fingerprint="a", cache_folder=tmp_path)
    assert asked == [BATCH * len(TEMPLATES), len(TEMPLATES), len(TEMPLATES)]


def test_things_and_ids_and_the_name_of_the_vocabulary_do_not_ask_for_new_embeddings(
    clip: ConvNextClip, tmp_path: Path
) -> None:
    first = build_text_classifier(clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path)
    forget(clip)
    changed = Vocabulary(
        "other",
        tuple(
            Category(category.name, category.id + 5, category.synonyms, is_thing=False)
            for category in PETS.categories
        ),
    )
    second = build_text_classifier(
        clip, changed, ["cat"], clip_fingerprint="a", cache_folder=tmp_path
    )
    assert torch.equal(second.embeddings, first.embeddings)
    assert second.seen.tolist() == [True, False, False]


def test_other_weights_and_other_templates_are_encoded_anew(
    clip: ConvNextClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cats = Vocabulary("cats", (Category("cat", 1),))
    build_text_classifier(clip, cats, (), clip_fingerprint="a", cache_folder=tmp_path)
    caplog.set_level(logging.INFO)
    for fingerprint, templates in (("b", TEMPLATES), ("a", TEMPLATES[:1]), ("a", TEMPLATES)):
        build_text_classifier(
            clip,
            cats,
            (),
            clip_fingerprint=fingerprint,
            cache_folder=tmp_path,
            templates=templates,
        )
    assert [record.message for record in caplog.records] == [
        "encoding 1 words in 14 prompts each",
        "encoding 1 words in 1 prompts each",
    ]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_bit(content: bytes) -> bytes:
    place = 2 * 4096 - 1  # the end of the second page, where the first row is
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def pickle(content: bytes) -> bytes:
    return b"\x80\x04K\x01." + content


@pytest.mark.parametrize("damage", [cut, flip_a_bit, pickle])
def test_a_damaged_file_is_made_again(
    clip: ConvNextClip,
    tmp_path: Path,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = build_text_classifier(clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        again = build_text_classifier(clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path)
    assert_close(again.embeddings, first.embeddings, atol=1e-6, rtol=0)
    assert str(path) in caplog.text
    assert "damaged" in caplog.text
    forget(clip)
    third = build_text_classifier(clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path)
    assert torch.equal(third.embeddings, again.embeddings)


def test_two_programs_may_keep_words_in_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    keys = [number.to_bytes(2, "big") for number in range(20)]
    vector = np.ones(3, np.float32)
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda key: keep_vectors(path, {key: vector}), keys)
        assert all(done)
    assert read_vectors(path, keys, 3).keys() == set(keys)


def test_a_folder_that_cannot_be_written_costs_time_only(
    clip: ConvNextClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        classifier = build_text_classifier(
            clip, PETS, (), clip_fingerprint="a", cache_folder=tmp_path / "file"
        )
    assert classifier.embeddings.isfinite().all()
    assert "cannot be written" in caplog.text


def test_a_class_may_have_its_own_prompts_and_words_that_speak_against_it(
    clip: ConvNextClip,
) -> None:
    own = ("an x-ray of a {}", "{}")
    bone = Category("bone", 1, ("rib",), not_names=("screw",), templates=own)
    words = Vocabulary("clinic", (Category("cat", 3), bone), background=("wall", "floor"))
    found = build_text_classifier(clip, words, ["Wall"], clip_fingerprint="a")
    assert_close(found.embeddings[:1], encode_names(clip, ["cat"]), atol=1e-6, rtol=0)
    assert_close(found.embeddings[1:], encode_names(clip, ["bone", "rib"], own), atol=1e-6, rtol=0)
    assert found.rivals is not None
    screw = encode_names(clip, ["screw"], own)
    assert_close(found.rivals.confusable, screw, atol=1e-6, rtol=0)
    assert found.rivals.speaks_against.tolist() == [1]
    background = encode_names(clip, ["wall", "floor"])
    assert_close(found.rivals.background, background, atol=1e-6, rtol=0)
    assert found.rivals.background_seen.tolist() == [True, False]


def test_a_classifier_whose_parts_disagree_is_refused() -> None:
    with pytest.raises(ValueError, match="3 names"):
        TextClassifier(torch.ones(3, 2), (2, 2), torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="1 seen flags"):
        TextClassifier(torch.ones(4, 2), (2, 2), torch.ones(1, dtype=torch.bool))
