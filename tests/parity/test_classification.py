"""Classification against the published implementation, from the logits and features it was given.

The published chain ends in log(p + 1e-8), of which it takes the softmax again; ours ends in that
softmax, so its logarithm is what the fixtures hold.
"""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from frozenseg_label.model.mask_classification import (
    category_logits,
    classify_by_clip,
    geometric_ensemble,
)
from frozenseg_label.model.mask_pooling import mask_on_grid, pool_masks
from frozenseg_label.model.settings import EnsembleSettings
from frozenseg_label.model.text_classifier import TextClassifier
from tests.parity.conftest import Golden


def inputs_of(golden: Golden) -> dict[str, Tensor]:
    source = golden.description["inputs_in"]
    return (golden.sibling(source) if source else golden).tensors("inputs")


def classifier_and_void(golden: Golden) -> tuple[TextClassifier, Tensor]:
    inputs = inputs_of(golden)
    names = inputs["text_classifier"]  # [S + 1, D], void last
    seen = inputs["category_overlapping_mask"].bool()
    synonyms = tuple(golden.config["num_templates"])
    return TextClassifier(names[:-1], synonyms, seen), names[-1:]


@pytest.mark.golden("post_*")
def test_masks_are_pooled_from_the_dense_map_alike(golden: Golden) -> None:
    inputs = inputs_of(golden)
    pooled = pool_masks(inputs["clip_vis_dense"], inputs["pred_masks"])
    expected = golden.tensors("mid")["pooled_clip_feature"]
    whole = expected.isfinite().all(dim=-1)  # one fixture carries a NaN on purpose
    assert_close(pooled[whole], expected[whole], **golden.bounds("mask_cls_result"))


@pytest.mark.golden("post_*")
def test_clip_gives_the_same_logits(golden: Golden) -> None:
    mid = golden.tensors("mid")
    classifier, void = classifier_and_void(golden)
    scale = inputs_of(golden)["logit_scale"]
    logits = category_logits(mid["pooled_clip_feature"], classifier, void, scale)
    expected = mid["out_vocab_logits_with_void"]
    assert_close(logits, expected, equal_nan=True, **golden.bounds("mask_cls_result"))


@pytest.mark.golden("post_*")
def test_both_opinions_join_alike(golden: Golden) -> None:
    mid, inputs = golden.tensors("mid"), inputs_of(golden)
    dense = inputs["clip_vis_dense"]
    valid = torch.ones(inputs["pred_logits"].shape[:2], dtype=torch.bool)
    if golden.config["ensemble_on_valid_mask"]:
        inside = mask_on_grid(inputs["pred_masks"], (dense.shape[2], dense.shape[3]))
        valid = inside.flatten(2).any(dim=-1)
        assert not valid.all()
    probs = geometric_ensemble(
        inputs["pred_logits"],
        mid["out_vocab_logits_with_void"],
        inputs["category_overlapping_mask"].bool(),
        valid,
        EnsembleSettings(golden.config["alpha"], golden.config["beta"]),
    )
    assert_close(probs.log(), mid["mask_cls_result"], **golden.bounds("mask_cls_result"))


@pytest.mark.golden("post_sam_ens*")
def test_sam_masks_are_classified_alike(golden: Golden) -> None:
    mid = golden.tensors("mid")
    classifier, void = classifier_and_void(golden)
    scale = inputs_of(golden)["logit_scale"]
    features = mid["sam_pooled_clip_feature"]
    logits = category_logits(features, classifier, void, scale)
    bounds = golden.bounds("mask_cls_result")
    assert_close(logits, mid["sam_cls_logits_with_void"], **bounds)
    probs = classify_by_clip(features, classifier, void, scale)
    assert_close(probs, mid["sam_cls_logits_with_void"].softmax(dim=-1), **bounds)
