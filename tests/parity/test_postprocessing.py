"""What follows the classification of masks meets the published semantic, panoptic, instance output.

Every test starts from `inputs.pred_masks` and `mid.mask_cls_result`, a logarithm whose softmax is
`ClassifiedMasks.class_probs`. Those of the SAM ensemble start from `inputs.sam_mask_logits` and
`mid.sam_cls_logits_with_void` besides: the published classification of SAM's masks pools on a
misaligned grid, ours does not.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from frozenseg_label.inference.instance_masks import instance_masks
from frozenseg_label.inference.mask_ensemble import combine_semantic
from frozenseg_label.inference.panoptic_merge import panoptic_merge
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


def read_sizes(golden: Golden) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    padded, image, output = (golden.config[key] for key in ("padded", "image_size", "out_size"))
    return tuple(padded), tuple(image), tuple(output)


def read_vocabulary(golden: Golden) -> Vocabulary:
    """Categories whose ids are the published indices."""
    things = golden.config["thing_contiguous_ids"]
    return Vocabulary(
        "golden",
        tuple(Category(f"c{i}", i, is_thing=i in things) for i in range(golden.config["C"])),
    )


def check_semantic(golden: Golden, votes: Sequence[Votes], image: int) -> None:
    sizes = read_sizes(golden)
    expected = golden.tensors(f"outputs.{image}")["sem_seg"]  # [K, H, W]
    first = golden.config["sem_seg_postprocess_before_inference"]
    scores = [tile for _, tile in semantic_tiles(votes, *sizes, resize_first=first)]
    torch.testing.assert_close(torch.cat(scores, dim=1), expected, **golden.bounds("sem_seg"))
    best = semantic_map(votes, *sizes, resize_first=first)
    assert (best != expected.argmax(dim=0).numpy()).mean() <= ODD_PIXELS


@pytest.mark.golden("post_*")
def test_semantic_scores_are_those_of_the_published_code(golden: Golden) -> None:
    if golden.config["use_sam_masks"]:
        pytest.skip("semantic output with SAM's masks has a test of its own")
    for image, masks in enumerate(read_masks(golden)):
        if image == 0 or golden.tensors(f"outputs.{image}"):  # a trimmed fixture may keep one image
            check_semantic(golden, [query_votes(masks)], image)


@pytest.mark.golden("post_sam_ens*")
def test_semantic_scores_with_sam_masks_are_those_of_the_published_code(golden: Golden) -> None:
    inputs = golden.tensors("inputs")
    (masks,) = read_masks(golden)
    votes = combine_semantic(
        masks,
        inputs["sam_mask_logits"][0],
        golden.tensors("mid")["sam_cls_logits_with_void"][0].softmax(dim=-1),
        inputs["category_overlapping_mask"] == 1,
        EverythingSettings(sam_weight=golden.config["mask_pred_alpha"]),
        with_padding=False,
    )
    check_semantic(golden, votes, image=0)


@pytest.mark.golden("post_*")
def test_panoptic_maps_are_those_of_the_published_code(golden: Golden) -> None:
    if not golden.config["panoptic_on"]:
        pytest.skip("semantic output only")
    for image, masks in enumerate(read_masks(golden)):
        result = panoptic_merge(
            masks,
            *read_sizes(golden),
            read_vocabulary(golden),
            source="model:golden",
            min_score=golden.config["object_mask_threshold"],
            settings=MergeSettings(golden.config["overlap_threshold"]),
        )
        result.check()
        expected = golden.tensors(f"outputs.{image}")["panoptic_seg"].numpy()
        assert (result.ids != expected).mean() <= ODD_PIXELS
        assert [
            {"id": s.id, "isthing": s.is_thing, "category_id": s.category_id}
            for s in result.segments
        ] == golden.description[f"panoptic_segments_info.{image}"]


@pytest.mark.golden("post_*")
def test_instances_are_those_of_the_published_code(golden: Golden) -> None:
    if not golden.config["instance_on"]:
        pytest.skip("semantic output only")
    for image, masks in enumerate(read_masks(golden)):
        result = instance_masks(
            masks,
            *read_sizes(golden),
            read_vocabulary(golden),
            top=golden.config["test_topk_per_image"],
        )
        expected = golden.tensors(f"outputs.{image}")
        torch.testing.assert_close(
            torch.from_numpy(result.scores),
            expected["inst_scores"],
            **golden.bounds("inst_scores"),
        )
        np.testing.assert_array_equal(result.category_ids, expected["inst_classes"].numpy())
        odd = result.masks != expected["inst_masks"].bool().numpy()  # [N, H, W]
        assert (odd.mean(axis=(1, 2)) <= ODD_PIXELS).all()
