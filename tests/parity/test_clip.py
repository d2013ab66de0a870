"""CLIP against the published implementation: pyramid, dense map, masks and prompts as vectors."""

import pytest
import torch
from torch.testing import assert_close

from frozenseg_label.model.clip_backbone import (
    FrozenClip,
    TextTower,
    convnext_clip,
    resnet_clip,
)
from frozenseg_label.model.mask_classification import category_logits
from frozenseg_label.model.mask_pooling import pool_masks
from frozenseg_label.model.text_classifier import TextClassifier, average_templates
from tests.parity.conftest import Golden


@pytest.fixture
def clip(golden: Golden) -> FrozenClip:
    sizes = golden.config["text"]
    text = TextTower(**sizes, quick_gelu=golden.config["quick_gelu"])
    vision = golden.config["vision"]
    clip: FrozenClip
    if "timm_convnext" in vision:
        trunk = vision["timm_convnext"]
        clip = convnext_clip(
            golden.config["embed_dim"], tuple(trunk["depths"]), tuple(trunk["dims"]), text
        )
    else:
        resnet = vision["modified_resnet"]
        clip = resnet_clip(
            resnet["output_dim"],
            tuple(resnet["layers"]),
            resnet["width"],
            resnet["heads"],
            resnet["image_size"],
            text,
        )
    clip.model.load_state_dict(golden.tensors("weights"))
    return clip.eval().requires_grad_(False)


@pytest.mark.golden("clip_*")
def test_an_image_becomes_the_same_pyramid_and_dense_map(golden: Golden, clip: FrozenClip) -> None:
    expected = golden.tensors("outputs")
    pyramid, dense = clip.encode_pixels(golden.tensors("inputs")["image"])
    for level, name in zip(pyramid, ("res2", "res3", "res4", "res5"), strict=True):
        assert_close(level, expected[name], **golden.bounds())
    assert_close(dense, expected["clip_vis_dense"], **golden.bounds())
    assert tuple(level.shape[1] for level in pyramid) == clip.channels


@pytest.mark.golden("clip_*")
def test_masks_become_the_same_vectors(golden: Golden, clip: FrozenClip) -> None:
    expected = golden.tensors("outputs")
    masks = golden.tensors("inputs")["masks_stride4"]
    embeddings, _ = clip.embed_masks(expected["clip_vis_dense"], masks)
    assert_close(embeddings, expected["visual_prediction"], **golden.bounds())


@pytest.mark.golden("clip_convnext*")
def test_masks_are_pooled_alike(golden: Golden) -> None:
    expected = golden.tensors("outputs")
    pooled = pool_masks(expected["clip_vis_dense"], golden.tensors("inputs")["masks_stride4"])
    assert_close(pooled, expected["mask_pooled"], **golden.bounds())


@pytest.mark.golden("clip_*")
def test_prompts_become_the_same_vectors(golden: Golden, clip: FrozenClip) -> None:
    embeddings = clip.model.encode_tokens(golden.tensors("inputs")["text_tokens"])
    assert_close(embeddings, golden.tensors("outputs")["text_raw"], **golden.bounds())


@pytest.mark.golden("clip_*")
def test_names_with_synonyms_give_the_same_logits(golden: Golden, clip: FrozenClip) -> None:
    expected = golden.tensors("outputs")
    names = average_templates(expected["text_raw"], golden.config["templates"])
    assert_close(names, expected["text_classifier"], **golden.bounds())

    synonyms = tuple(golden.config["num_templates"])
    classifier = TextClassifier(names, synonyms, torch.ones(len(synonyms), dtype=torch.bool))
    void = golden.tensors("inputs")["void_embedding"]
    logits = category_logits(expected["visual_prediction"], classifier, void, clip.logit_scale)
    assert_close(logits, expected["classification_logits"], **golden.bounds())
