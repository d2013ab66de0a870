"""What follows the classification of masks meets the published semantic and panoptic output.

Every test starts from `inputs.pred_masks` and `mid.mask_cls_result`, a logarithm whose softmax is
`ClassifiedMasks.class_probs`. Those of the SAM ensemble start from `inputs.sam_mask_logits` and
`mid.sam_cls_logits_with_void` besides: the published classification of SAM's masks pools on a
misaligned grid, ours does not.

The published code has two ways that the package does not go: semantic scores that are resized after
the votes are counted, and masks of SAM that cover the image without its padding. `published_scores`
goes them with the package's parts.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference.mask_ensemble import FurtherMasks, combine_semantic
from frozenseg_label.inference.panoptic_merge import panoptic_merge
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.inference.semantic_map import (
    Votes,
    query_votes,
    semantic_map,
    semantic_tiles,
)
from frozenseg_label.model.proposals import ClassifiedMasks
from frozenseg_label.model.settings import EverythingSettings, MergeSettings
from frozenseg_label.vocabulary import Category, Vocabulary
from tests.parity.conftest import Golden

ODD_PIXELS = 0.0005  # of each mask or map: "exact up to <=0.05% pixels"


def read_inputs(golden: Golden) -> Golden:
    """Some fixtures share their inputs, which stand in one of them."""
    named: str | None = golden.description["inputs_in"]
    return golden.sibling(named.split()[0]) if named else golden


def read_masks(golden: Golden) -> list[ClassifiedMasks]:
    """The masks of each image; they keep a batch dimension of one."""
    logits = read_inputs(golden).tensors("inputs")["pred_masks"]
    probs = golden.tensors("mid")["mask_cls_result"].softmax(dim=-1)
    return [
        ClassifiedMasks(logits[i : i + 1], probs[i : i + 1], torch.zeros(1, logits.shape[1]))
        for i in range(len(logits))
    ]


def read_framing(golden: Golden) -> Framing:
    padded, image, original = (golden.config[key] for key in ("padded", "image_size", "out_size"))
    return Framing(tuple(padded), tuple(image), tuple(original))


def read_vocabulary(golden: Golden) -> Vocabulary:
    """Categories whose ids are the published indices."""
    things = golden.config["thing_contiguous_ids"]
    return Vocabulary(
        "golden",
        tuple(Category(f"c{i}", i, is_thing=i in things) for i in range(golden.config["C"])),
    )


def all_scores(votes: Votes, framing: Framing) -> Tensor:
    """Return the scores of all pixels, [K, H, W]."""
    return torch.cat([tile for _, tile in semantic_tiles([votes], framing)], dim=1)


def published_scores(golden: Golden, queries: Votes, sam: Votes | None = None) -> Tensor:
    """Return the scores [K, H, W] in the way that the fixture asks for.

    Args:
        queries: their masks cover the padded image.
        sam: its masks cover the image only.
    """
    framing = read_framing(golden)
    first = golden.config["sem_seg_postprocess_before_inference"]
    counted_at = framing.original if first else framing.image
    scores = all_scores(queries, replace(framing, original=counted_at))
    if sam is not None:
        scores += all_scores(sam, Framing(counted_at, counted_at, counted_at))
    return scores if first else F.interpolate(scores[None], framing.original, mode="bilinear")[0]


def check_semantic(golden: Golden, scores: Tensor, image: int) -> None:
    expected = golden.tensors(f"outputs.{image}")["sem_seg"]  # [K, H, W]
    torch.testing.assert_close(scores, expected, **golden.bounds("sem_seg"))
    assert (scores.argmax(dim=0) != expected.argmax(dim=0)).float().mean() <= ODD_PIXELS


@pytest.mark.golden("post_*")
def test_semantic_scores_are_those_of_the_published_code(golden: Golden) -> None:
    if golden.config["use_sam_masks"]:
        pytest.skip("semantic output with SAM's masks has a test of its own")
    for image, masks in enumerate(read_masks(golden)):
        if image == 0 or golden.tensors(f"outputs.{image}"):  # a trimmed fixture may keep one image
            check_semantic(golden, published_scores(golden, query_votes(masks)), image)


@pytest.mark.golden("post_*")
def test_semantic_maps_are_those_of_the_published_code(golden: Golden) -> None:
    if golden.config["use_sam_masks"] or not golden.config["sem_seg_postprocess_before_inference"]:
        pytest.skip("the package does not go this way")
    for image, masks in enumerate(read_masks(golden)):
        expected = golden.tensors(f"outputs.{image}")["sem_seg"].argmax(dim=0).numpy()
        best = semantic_map([query_votes(masks)], read_framing(golden))
        assert (best != expected).mean() <= ODD_PIXELS


@pytest.mark.golden("post_sam_ens*")
def test_semantic_scores_with_sam_masks_are_those_of_the_published_code(golden: Golden) -> None:
    inputs = golden.tensors("inputs")
    (masks,) = read_masks(golden)
    logits = inputs["sam_mask_logits"][0]
    probs = golden.tensors("mid")["sam_cls_logits_with_void"][0].softmax(dim=-1)
    none = torch.zeros(0, dtype=torch.int64)  # neither vectors nor choice matter here
    votes = combine_semantic(
        masks,
        FurtherMasks(logits, probs, embeddings=none, valid=none, chosen=none),
        inputs["category_overlapping_mask"] == 1,
        EverythingSettings(sam_weight=golden.config["mask_pred_alpha"]),
    )
    check_semantic(golden, published_scores(golden, *votes), image=0)


@pytest.mark.golden("post_*")
def test_panoptic_maps_are_those_of_the_published_code(golden: Golden) -> None:
    if not golden.config["panoptic_on"]:
        pytest.skip("semantic output only")
    for image, masks in enumerate(read_masks(golden)):
        result = panoptic_merge(
            masks,
            read_framing(golden),
            read_vocabulary(golden),
            source="model:golden",
            min_score=golden.config["object_mask_threshold"],
            settings=MergeSettings(golden.config["overlap_threshold"]),
        ).panoptic
        result.check()
        expected = golden.tensors(f"outputs.{image}")["panoptic_seg"].numpy()
        assert (result.ids != expected).mean() <= ODD_PIXELS
        assert [
            {"id": s.id, "isthing": s.is_thing, "category_id": s.category_id}
            for s in result.segments
        ] == golden.description[f"panoptic_segments_info.{image}"]
