"""Two opinions on every mask become one."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from frozenseg_label.model.mask_classification import (
    category_logits,
    classify_by_clip,
    classify_masks,
    disagreement,
    geometric_ensemble,
)
from frozenseg_label.model.proposals import MaskProposals
from frozenseg_label.model.settings import EnsembleSettings
from frozenseg_label.model.text_classifier import RivalWords, TextClassifier

AXES = torch.eye(4)
ALL_VALID = torch.ones(1, 1, dtype=torch.bool)
AS_PUBLISHED = EnsembleSettings()
ALPHA, BETA = 0.4, 0.8  # CLIP's published weight for seen and for unseen categories


def classifier(
    synonyms: tuple[int, ...] = (2, 1), seen: tuple[bool, ...] = (True, False)
) -> TextClassifier:
    return TextClassifier(AXES[: sum(synonyms)], synonyms, torch.tensor(seen))


def with_void(logits: list[float], void: float = 0.0) -> Tensor:
    return torch.tensor([[[*logits, void]]])


def random_proposals(queries: int = 5) -> MaskProposals:
    torch.manual_seed(0)
    return MaskProposals(
        mask_logits=torch.randn(2, queries, 4, 4),
        class_embeddings=torch.randn(2, queries, 4),
        clip_embeddings=torch.randn(2, queries, 4),
        valid=torch.ones(2, queries, dtype=torch.bool),
    )


def classify(proposals: MaskProposals, names: TextClassifier | None = None) -> Tensor:
    scale = torch.tensor(math.log(20.0))
    names = names or classifier()
    found = classify_masks(proposals, names, AXES[3:] * 7, scale, scale / 2, AS_PUBLISHED)
    assert found.mask_logits is proposals.mask_logits
    return found.class_probs


def test_a_category_takes_the_best_of_its_names_and_void_comes_last() -> None:
    embedding = torch.tensor([[[0.1, 0.7, 0.5, 0.5]]])
    logits = category_logits(embedding * 3, classifier(), AXES[3:] * 9, torch.tensor(0.0))
    assert_close(logits, torch.tensor([[[0.7, 0.5, 0.5]]]))


def test_scales_are_logarithms_and_end_at_a_hundred() -> None:
    embedding = AXES[None, :1]
    for log_scale, expected in ((math.log(30.0), 30.0), (math.log(100.0), 100.0), (9.0, 100.0)):
        logits = category_logits(embedding, classifier(), AXES[3:], torch.tensor(log_scale))
        assert_close(logits, torch.tensor([[[expected, 0.0, 0.0]]]))


def test_logits_stay_in_full_precision_under_autocast() -> None:
    embedding, scale = torch.randn(1, 3, 4), torch.tensor(4.0)
    expected = category_logits(embedding, classifier(), AXES[3:], scale)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(category_logits(embedding, classifier(), AXES[3:], scale), expected)


def test_gradients_reach_embedding_void_and_scale() -> None:
    embedding = torch.randn(1, 3, 4, requires_grad=True)
    void = torch.randn(1, 4, requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    category_logits(embedding, classifier(), void, scale).logsumexp(-1).sum().backward()
    for part in (embedding, void, scale):
        assert part.grad is not None
        assert part.grad.abs().sum() > 0


def test_probabilities_sum_to_one_and_void_is_what_the_decoder_says() -> None:
    proposals = random_proposals()
    probs = classify(proposals)
    assert_close(probs.sum(dim=-1), torch.ones(2, 5))
    scale = torch.tensor(math.log(20.0))
    decoder = category_logits(proposals.class_embeddings, classifier(), AXES[3:], scale)
    assert_close(probs[..., -1], decoder.softmax(dim=-1)[..., -1])


@pytest.mark.parametrize(("seen", "weight"), [(True, ALPHA), (False, BETA)])
def test_clip_weighs_less_for_seen_than_for_unseen_categories(seen: bool, weight: float) -> None:
    decoder, clip = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 3.0])
    probs = geometric_ensemble(
        with_void(decoder.tolist(), void=-50.0),
        with_void(clip.tolist(), void=20.0),
        torch.tensor([seen, seen]),
        ALL_VALID,
        AS_PUBLISHED,
    )
    expected = ((1 - weight) * decoder + weight * clip).softmax(dim=0)
    assert_close(probs[0, 0, :2], expected)


def test_seen_and_unseen_categories_meet_on_one_scale() -> None:
    probs = geometric_ensemble(
        with_void([math.log(0.9), math.log(0.1)], void=-50.0),
        with_void([math.log(0.2), math.log(0.8)]),
        torch.tensor([True, False]),
        ALL_VALID,
        AS_PUBLISHED,
    )
    first, second = 0.9**0.6 * 0.2**0.4, 0.1**0.2 * 0.8**0.8
    assert_close(probs[0, 0, 0], torch.tensor(first / (first + second)))


def test_a_bias_changes_the_odds_of_void_and_not_those_of_the_names() -> None:
    opinions = with_void([2.0, 0.0], void=1.0), with_void([0.0, 3.0])
    seen = torch.tensor([True, False])
    plain = geometric_ensemble(*opinions, seen, ALL_VALID, AS_PUBLISHED)[0, 0]
    biased = geometric_ensemble(*opinions, seen, ALL_VALID, EnsembleSettings(void_bias=-1.2))[0, 0]
    odds, biased_odds = (p[2] / (1 - p[2]) for p in (plain, biased))
    assert_close(biased_odds, odds * math.exp(-1.2))
    assert_close(biased[0] / biased[1], plain[0] / plain[1])


@pytest.mark.parametrize("rest", [torch.nan, torch.inf, 50.0])
def test_an_invalid_mask_has_the_decoders_opinion_alone(rest: float) -> None:
    proposals = random_proposals()
    proposals.valid[1, 2] = False
    proposals.clip_embeddings[1, 2] = rest
    scale = torch.tensor(math.log(20.0))
    found = classify_masks(proposals, classifier(), AXES[3:], scale, scale, AS_PUBLISHED)
    decoder = category_logits(proposals.class_embeddings, classifier(), AXES[3:], scale)
    assert_close(found.class_probs[1, 2], decoder[1, 2].softmax(dim=-1), atol=1e-7, rtol=1e-5)
    assert float(found.disagreement[1, 2]) == 0.0
    assert found.class_probs.isfinite().all()
    assert found.disagreement.isfinite().all()


@pytest.mark.parametrize("seen", [(True, True), (True, False), (False, True), (False, False)])
def test_opinions_that_exclude_each_other_give_numbers(seen: tuple[bool, bool]) -> None:
    # Each of these probabilities is 0 in float32; multiplying them gives 0, and 0 x log 0 NaN.
    probs = geometric_ensemble(
        with_void([100.0, -100.0]),
        with_void([-100.0, 100.0]),
        torch.tensor(seen),
        ALL_VALID,
        AS_PUBLISHED,
    )
    assert probs.isfinite().all()
    assert_close(probs.sum(dim=-1), torch.ones(1, 1))
    strongest = [0.6 if seen[0] else 0.2, 0.4 if seen[1] else 0.8]
    if strongest[0] != strongest[1]:
        assert int(probs[0, 0, :2].argmax()) == int(strongest[0] < strongest[1])


def test_a_mask_that_is_surely_void_keeps_every_probability_finite() -> None:
    probs = geometric_ensemble(
        with_void([-100.0, -100.0], void=100.0),
        with_void([1.0, 2.0]),
        torch.tensor([True, False]),
        ALL_VALID,
        AS_PUBLISHED,
    )
    assert_close(probs[0, 0, -1], torch.tensor(1.0))
    assert probs.log().isfinite().all()


def test_opinions_that_agree_have_no_disagreement_whatever_they_say_of_void() -> None:
    distance = disagreement(with_void([1.0, 2.0], void=9.0), with_void([4.0, 5.0]), ALL_VALID)
    assert_close(distance, torch.zeros(1, 1))


def test_disagreement_is_the_share_that_would_have_to_move() -> None:
    decoder = with_void([math.log(0.75), math.log(0.25)])
    clip = with_void([math.log(0.25), math.log(0.75)])
    assert_close(disagreement(decoder, clip, ALL_VALID), torch.tensor([[0.5]]))
    sure = disagreement(with_void([90.0, 0.0]), with_void([0.0, 90.0]), ALL_VALID)
    assert_close(sure, torch.ones(1, 1))


def test_clip_alone_shares_its_probability_with_void() -> None:
    embedding = torch.tensor([[[1.0, 0.0, 0.0, 1.0]]])
    probs = classify_by_clip(embedding, classifier(), AXES[3:], torch.tensor(9.0))
    assert_close(probs, torch.tensor([[[0.5, 0.0, 0.5]]]))


def test_a_mask_does_not_depend_on_its_neighbours() -> None:
    proposals, other = random_proposals(), random_proposals()
    for part in (other.class_embeddings, other.clip_embeddings):
        part[:, :3] = torch.randn(2, 3, 4)
    assert torch.equal(classify(other)[:, 3:], classify(proposals)[:, 3:])


def test_another_order_of_categories_gives_the_same_masks_in_that_order() -> None:
    proposals = random_proposals()
    turned = TextClassifier(AXES[[2, 0, 1]], (1, 2), torch.tensor([False, True]))
    assert_close(classify(proposals, turned)[..., [1, 0, 2]], classify(proposals))


def rivals(background: Tensor = AXES[:0], confusable: Tensor = AXES[:0]) -> RivalWords:
    """Background words that training saw, and words that speak against the first category."""
    seen = torch.ones(len(background), dtype=torch.bool)
    return RivalWords(background, seen, confusable, torch.zeros(len(confusable), dtype=torch.int64))


def one_proposal(*embedding: float) -> MaskProposals:
    vector = torch.tensor([[[*embedding]]])
    return MaskProposals(torch.zeros(1, 1, 4, 4), vector, vector, ALL_VALID)


def test_a_mask_that_a_background_word_fits_best_is_void() -> None:
    plain = classifier((1, 1))
    wall = TextClassifier(plain.embeddings, plain.synonyms, plain.seen, rivals(AXES[2:3]))
    a_wall = one_proposal(0.5, 0.1, 0.8, 0.0)
    assert classify(a_wall, plain)[0, 0].argmax() == 0
    probs = classify(a_wall, wall)[0, 0]
    assert probs.argmax() == 2
    assert_close(probs.sum(), torch.tensor(1.0))
    a_cat = one_proposal(0.9, 0.1, 0.2, 0.0)
    assert_close(classify(a_cat, wall), classify(a_cat, plain), atol=1e-3, rtol=0)


def test_background_words_win_by_their_best_and_not_by_their_number() -> None:
    plain = classifier((1, 1), (True, True))
    a_cat = one_proposal(0.6, 0.3, 0.5, 0.0)
    one = TextClassifier(plain.embeddings, (1, 1), plain.seen, rivals(AXES[2:3]))
    many = TextClassifier(plain.embeddings, (1, 1), plain.seen, rivals(AXES[2:3].repeat(50, 1)))
    assert classify(a_cat, many)[0, 0].argmax() == 0
    scores = [classify(a_cat, names)[0, 0, :2] for names in (one, many)]
    assert_close(scores[0] / scores[0].sum(), scores[1] / scores[1].sum())


def test_a_mask_that_a_confusable_word_fits_better_does_not_get_that_class() -> None:
    plain = classifier((1, 1))
    statue = TextClassifier(plain.embeddings, (1, 1), plain.seen, rivals(confusable=AXES[2:3]))
    before = classify(one_proposal(0.5, 0.4, 0.6, 0.0), plain)[0, 0]
    after = classify(one_proposal(0.5, 0.4, 0.6, 0.0), statue)[0, 0]
    assert before.argmax() == 0
    assert_close(after, torch.stack([torch.tensor(0.0), before[1], before[2] + before[0]]))
    a_cat = one_proposal(0.6, 0.4, 0.5, 0.0)
    assert torch.equal(classify(a_cat, statue), classify(a_cat, plain))


def test_a_confusable_word_is_weighed_by_both_opinions_like_its_category() -> None:
    seen = torch.ones(2, dtype=torch.bool)
    names = TextClassifier(AXES[:2], (1, 1), seen, rivals(confusable=AXES[2:3]))
    decoder = torch.tensor([[[0.73, 0.0, 0.68, 0.0]]])  # 1 logit for the category, x 0.6
    clip = torch.tensor([[[0.0, 0.0, 1.0, 0.0]]])  # 4.5 against it, x 0.4
    for valid, is_category in ((ALL_VALID, False), (~ALL_VALID, True)):
        proposals = MaskProposals(torch.zeros(1, 1, 4, 4), decoder, clip, valid)
        assert bool(classify(proposals, names)[0, 0, 0] > 0) == is_category


def test_rival_words_count_where_clip_names_masks_without_the_decoder() -> None:
    embeddings = torch.tensor([[[0.5, 0.1, 0.8, 0.0]]])
    for words in (rivals(AXES[2:3]), rivals(confusable=AXES[2:3])):
        names = TextClassifier(AXES[:2], (1, 1), torch.ones(2, dtype=torch.bool), words)
        probs = classify_by_clip(embeddings, names, AXES[3:], torch.tensor(3.0))[0, 0]
        assert probs.argmax() == 2
        assert_close(probs.sum(), torch.tensor(1.0))
