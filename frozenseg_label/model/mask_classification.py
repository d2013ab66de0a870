"""From embeddings to a distribution over the categories of a vocabulary and void.

Two opinions on every mask: the decoder's (in-vocabulary, trained on the seen categories) and
CLIP's (out-of-vocabulary, not trained on them); FC-CLIP's geometric ensemble joins them
(Yu et al. 2023, arXiv 2308.02487, section 3.3).

A vocabulary may have rival words. Those of its background take part as if they were categories, and
what they win is void. Confusable words take part in nothing: they are compared with their own
category only, so another category's probability does not change because of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.model.proposals import ClassifiedMasks, MaskProposals
from frozenseg_label.model.settings import EnsembleSettings
from frozenseg_label.model.text_classifier import RivalWords, TextClassifier

MAX_SCALE = 100.0  # CLIP's own limit in training (arXiv 2103.00020, section 2.5)
PROBABILITY_FLOOR = 1e-8  # upstream hands log(p + 1e-8) on, and takes its softmax again


def classify_masks(
    proposals: MaskProposals,
    classifier: TextClassifier,
    void_embedding: Tensor,
    in_scale: Tensor,
    out_scale: Tensor,
    settings: EnsembleSettings,
) -> ClassifiedMasks:
    """Give every proposal its distribution over K categories and void.

    Args:
        proposals: masks with the embeddings of both branches.
        classifier: the K categories.
        void_embedding: [1, D], learned; not normalised.
        in_scale: the decoder's scale, a logarithm, scalar.
        out_scale: CLIP's scale, likewise.
        settings: how the two are joined.
    """
    inside, outside = proposals.class_embeddings, proposals.clip_embeddings  # [B, Q, D] each
    in_logits = category_logits(inside, classifier, void_embedding, in_scale)
    out_logits = category_logits(outside, classifier, void_embedding, out_scale)
    seen = classifier.seen.to(in_logits.device)
    valid = proposals.valid
    differ = disagreement(in_logits, out_logits, valid)
    rivals = classifier.rivals
    if rivals is None:
        probs = geometric_ensemble(in_logits, out_logits, seen, valid, settings)
        return ClassifiedMasks(proposals.mask_logits, probs, differ)
    probs = geometric_ensemble(
        _beside(in_logits, word_logits(inside, rivals.background, in_scale)),
        _beside(out_logits, word_logits(outside, rivals.background, out_scale)),
        torch.cat([seen, rivals.background_seen.to(seen.device)]),
        valid,
        settings,
    )
    # The opinions joined as in the ensemble, with the weight of the category in question.
    weights = torch.where(seen, settings.alpha, settings.beta)  # [K]
    against = rivals.speaks_against.to(seen.device)  # [M]
    words = _joined(
        word_logits(inside, rivals.confusable, in_scale),
        word_logits(outside, rivals.confusable, out_scale),
        weights[against],
        valid,
    )
    own = _joined(in_logits[..., :-1], out_logits[..., :-1], weights, valid)
    return ClassifiedMasks(
        proposals.mask_logits, _without_rivals(probs, own, words, rivals), differ
    )


def classify_by_clip(
    clip_embeddings: Tensor, classifier: TextClassifier, void_embedding: Tensor, out_scale: Tensor
) -> Tensor:
    """Return only CLIP's opinion, [B, Q, K + 1]; void takes part, unlike in the ensemble.

    Args:
        clip_embeddings: [B, Q, D], of SAM's masks for instance.
        classifier: the K categories.
        void_embedding: [1, D].
        out_scale: CLIP's scale, a logarithm, scalar.
    """
    logits = category_logits(clip_embeddings, classifier, void_embedding, out_scale)
    rivals = classifier.rivals
    if rivals is None:
        return logits.softmax(dim=-1)
    background = word_logits(clip_embeddings, rivals.background, out_scale)
    words = word_logits(clip_embeddings, rivals.confusable, out_scale)
    probs = _beside(logits, background).softmax(dim=-1)
    return _without_rivals(probs, logits[..., :-1], words, rivals)


def category_logits(
    embeddings: Tensor, classifier: TextClassifier, void_embedding: Tensor, log_scale: Tensor
) -> Tensor:
    """Return scaled cosines with the best name of each category, and last with void: [B, Q, K + 1].

    Args:
        embeddings: [B, Q, D], of any length.
        classifier: the K categories; its rival words do not count here.
        void_embedding: [1, D], likewise.
        log_scale: logarithm of the scale, which is at most 100; scalar.
    """
    names = torch.cat([classifier.embeddings.to(embeddings.device), void_embedding.float()])
    logits = word_logits(embeddings, names, log_scale)  # [B, Q, S + 1]
    return _best_of_names(logits, (*classifier.synonyms, 1))


def word_logits(embeddings: Tensor, words: Tensor, log_scale: Tensor) -> Tensor:
    """Return scaled cosines with each of N words, [B, Q, N].

    Args:
        embeddings: [B, Q, D], of any length.
        words: float32 [N, D], likewise.
        log_scale: logarithm of the scale, which is at most 100; scalar.
    """
    device = embeddings.device
    # In bfloat16, which autocast would take, logits near 100 are half a unit apart.
    with torch.autocast(device.type, enabled=False):
        cosines = F.normalize(embeddings.float(), dim=-1) @ F.normalize(words.to(device), dim=-1).T
        return log_scale.float().exp().clamp(max=MAX_SCALE) * cosines


def geometric_ensemble(
    in_logits: Tensor,
    out_logits: Tensor,
    seen: Tensor,
    valid: Tensor,
    settings: EnsembleSettings,
) -> Tensor:
    """Join both opinions: probabilities [B, Q, K + 1], void last, each row summing to 1.

    Args:
        in_logits: [B, Q, K + 1], void last.
        out_logits: likewise; its void has no say.
        seen: bool [K], categories that the decoder was trained on.
        valid: bool [B, Q]; elsewhere only `in_logits` decide, and out_logits may even be NaN.
        settings: the weights of `out_logits`, and what is added to the logit of void.
    """
    # The softmax of void, written so that it is rounded alike on every CPU: where void is nearly 1,
    # the last bit shows in 1 - void.
    void_logits = in_logits[..., -1:] + settings.void_bias
    void = (void_logits - in_logits[..., :-1].logsumexp(-1, keepdim=True)).sigmoid()
    # All in logarithms: p^(1 - a) q^a underflows, and upstream's 0 x log 0 then makes NaN.
    in_log = in_logits[..., :-1].log_softmax(dim=-1)  # [B, Q, K]
    out_log = out_logits[..., :-1].log_softmax(dim=-1)  # [B, Q, K]
    of_seen = (1 - settings.alpha) * in_log + settings.alpha * out_log
    of_unseen = (1 - settings.beta) * in_log + settings.beta * out_log
    mixed = torch.where(valid[..., None], torch.where(seen, of_seen, of_unseen), in_log)
    probs = torch.cat([mixed.softmax(dim=-1) * (1 - void), void], dim=-1) + PROBABILITY_FLOOR
    return probs / probs.sum(dim=-1, keepdim=True)


def disagreement(in_logits: Tensor, out_logits: Tensor, valid: Tensor) -> Tensor:
    """Return the total variation distance of both opinions on the K categories, [B, Q] in 0..1.

    Args:
        in_logits: [B, Q, K + 1]; void, the last, is left out.
        out_logits: likewise.
        valid: bool [B, Q]; 0 elsewhere.
    """
    in_probs = in_logits[..., :-1].softmax(dim=-1)
    out_probs = out_logits[..., :-1].softmax(dim=-1)
    distance = (in_probs - out_probs).abs().sum(dim=-1) / 2
    return torch.where(valid, distance, 0.0)


def _best_of_names(logits: Tensor, synonyms: tuple[int, ...]) -> Tensor:
    """Return the highest logit of each group of neighbouring names, [B, Q, groups]."""
    counts = torch.tensor(synonyms, device=logits.device)
    groups = torch.arange(len(synonyms), device=logits.device).repeat_interleave(counts)  # [S + 1]
    lowest = logits.new_full((*logits.shape[:-1], len(synonyms)), -torch.inf)
    return lowest.scatter_reduce(-1, groups.expand_as(logits), logits, "amax")


def _beside(logits: Tensor, background: Tensor) -> Tensor:
    """Return logits of K categories, N background words and void: [B, Q, K + N + 1].

    Args:
        logits: [B, Q, K + 1], void last.
        background: [B, Q, N].
    """
    return torch.cat([logits[..., :-1], background, logits[..., -1:]], dim=-1)


def _joined(in_logits: Tensor, out_logits: Tensor, weights: Tensor, valid: Tensor) -> Tensor:
    """Return both opinions on each of N words in one number, [B, Q, N].

    Args:
        in_logits: [B, Q, N].
        out_logits: likewise.
        weights: of `out_logits`, [N].
        valid: bool [B, Q]; elsewhere only `in_logits` count.
    """
    mixed = (1 - weights) * in_logits + weights * out_logits
    return torch.where(valid[..., None], mixed, in_logits)


def _without_rivals(probs: Tensor, own: Tensor, words: Tensor, rivals: RivalWords) -> Tensor:
    """Return the distribution [B, Q, K + 1] in which void has taken what rivals won.

    Args:
        probs: [B, Q, K + N + 1]: categories, background words, void.
        own: [B, Q, K], how well each category fits.
        words: [B, Q, M], how well each confusable word fits, in the same measure.
        rivals: N background words and M confusable ones.
    """
    categories = own.shape[-1]
    background = len(rivals.background)
    of_categories, of_background, void = probs.split([categories, background, 1], dim=-1)
    if background:
        # Only the best of them competes, as with synonyms: many words must not win by their number.
        best = of_background.amax(dim=-1, keepdim=True)
        share = (1 - void) / (of_categories.sum(dim=-1, keepdim=True) + best)
        of_categories, void = of_categories * share, void + best * share
    against = rivals.speaks_against.to(words.device)
    beaten = torch.zeros_like(own).index_add(-1, against, (words > own[..., against]).to(own.dtype))
    lost = torch.where(beaten > 0, of_categories, 0.0)
    return torch.cat([of_categories - lost, void + lost.sum(dim=-1, keepdim=True)], dim=-1)
