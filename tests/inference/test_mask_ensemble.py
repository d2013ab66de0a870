"""SAM's own masks: how they are found, and by which doors they come in."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from frozenseg_label.inference.everything_masks import boxes_of, everything_masks
from frozenseg_label.inference.mask_ensemble import (
    FurtherMasks,
    choose_extra,
    combine_semantic,
    join_masks,
    mask_iou,
    sam_disagreement,
)
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.inference.semantic_map import semantic_tiles
from frozenseg_label.model.proposals import ClassifiedMasks
from frozenseg_label.model.sam import DecoderSizes, FrozenSam, vit_sam
from frozenseg_label.model.settings import EverythingSettings

DEFAULTS = EverythingSettings()
# A SAM with random weights is sure of nothing: let all pass, and close one gate at a time.
OPEN = EverythingSettings(
    points_per_side=4, min_predicted_iou=-1e9, min_stability=0.0, max_box_iou=1.0, max_masks=999
)
# Three quarters of the rows, two thirds of the columns are image.
FRAMING = Framing(padded=(64, 96), image=(48, 64), original=(48, 64))

SEEN = torch.tensor([True, False, False])  # two of three categories are new


@pytest.fixture(scope="module")
def sam() -> FrozenSam:
    torch.manual_seed(0)
    sam = vit_sam(
        image_size=96,
        embed_dim=16,
        depth=1,
        heads=2,
        channels=16,
        decoder=DecoderSizes(heads=2, feedforward=32, iou_hidden=16),
    ).eval()
    for mask_head in sam.mask_decoder.output_hypernetworks_mlps:  # logits of a trained size
        torch.nn.init.normal_(mask_head.layers[-1].weight, std=20.0)
    return sam


@pytest.fixture(scope="module")
def embeddings() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 16, 6, 6) * 3


@torch.no_grad()
def find(sam: FrozenSam, embedding: Tensor, settings: EverythingSettings) -> Tensor:
    (masks,) = everything_masks(sam, embedding, [FRAMING], settings)
    return masks


def visible(masks: Tensor) -> Tensor:
    """The part of 24 x 24 cells that shows the image."""
    return masks[:, :18, :16] > 0


def boxes_around(inside: Tensor) -> Tensor:
    """Corners around masks [N, h, w], the last row and column included."""
    corners = []
    for mask in inside:
        rows, columns = mask.nonzero().T
        corners.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return torch.tensor(corners).float()


def test_points_lie_on_a_grid_of_the_image_not_of_its_padding(
    sam: FrozenSam, embeddings: Tensor
) -> None:
    masks = find(sam, embeddings[:1], replace(OPEN, points_per_side=1))
    with torch.no_grad():
        expected, _ = sam.decode_points(embeddings[:1], torch.tensor([[1 / 3, 3 / 8]]))
    seen = sorted(masks.flatten(1).sum(dim=1).tolist())
    assert seen == pytest.approx(sorted(expected[0].flatten(1).sum(dim=1).tolist()), rel=1e-3)


def test_the_largest_come_first_and_only_so_many_stay(sam: FrozenSam, embeddings: Tensor) -> None:
    everything = find(sam, embeddings[:1], OPEN)
    areas = visible(everything).sum(dim=(1, 2))
    assert areas[-1] > 0  # an empty mask is no mask
    assert (areas.diff() <= 0).all()
    assert areas[0] > areas[-1]
    some = find(sam, embeddings[:1], replace(OPEN, max_masks=5))
    assert torch.equal(some, everything[:5])


def test_masks_that_sam_rates_low_are_dropped(sam: FrozenSam, embeddings: Tensor) -> None:
    with torch.no_grad():
        _, ratings = sam.decode_points(embeddings[:1], torch.tensor([[1 / 3, 3 / 8]]))
    middle = ratings.median().item()
    one_point = replace(OPEN, points_per_side=1, min_predicted_iou=middle)
    assert len(find(sam, embeddings[:1], one_point)) == 1  # of three; the threshold does not pass


def test_masks_that_change_with_the_threshold_are_dropped(
    sam: FrozenSam, embeddings: Tensor
) -> None:
    everything = find(sam, embeddings[:1], OPEN)
    inner = (everything[:, :18, :16] > 1).sum(dim=(1, 2))
    outer = (everything[:, :18, :16] > -1).sum(dim=(1, 2))
    stability = (inner / outer).nan_to_num()
    middle = stability.median().item()
    kept = find(sam, embeddings[:1], replace(OPEN, min_stability=middle))
    assert 0 < len(kept) == (stability >= middle).sum() < len(everything)


def test_of_masks_with_nearly_the_same_box_the_best_rated_stays(
    sam: FrozenSam, embeddings: Tensor
) -> None:
    one_point = replace(OPEN, points_per_side=1)
    boxes = boxes_around(visible(find(sam, embeddings[:1], one_point)))
    assert len(boxes) == 3
    assert box_iou(boxes, boxes).min() > 0.7
    kept = find(sam, embeddings[:1], replace(one_point, max_box_iou=0.7))
    with torch.no_grad():
        masks, ratings = sam.decode_points(embeddings[:1], torch.tensor([[1 / 3, 3 / 8]]))
    torch.testing.assert_close(kept, masks[0, ratings.argmax()][None], rtol=1e-3, atol=1e-3)


def test_no_mask_at_all_is_an_empty_answer(sam: FrozenSam, embeddings: Tensor) -> None:
    masks = find(sam, embeddings[:1], replace(OPEN, min_predicted_iou=1e9))
    assert masks.shape == (0, 24, 24)


def test_an_image_finds_the_same_alone_and_in_a_batch(sam: FrozenSam, embeddings: Tensor) -> None:
    framings = [FRAMING, replace(FRAMING, image=(64, 90))]
    with torch.no_grad():
        both = everything_masks(sam, embeddings, framings, OPEN)
        second = everything_masks(sam, embeddings[1:], framings[1:], OPEN)
    assert torch.equal(both[0], find(sam, embeddings[:1], OPEN))
    assert torch.equal(both[1], second[0])


def test_autocast_is_borne(sam: FrozenSam, embeddings: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        masks = find(sam, embeddings[:1], OPEN)
    assert masks.dtype == torch.float32
    assert len(masks) == len(find(sam, embeddings[:1], OPEN))


def test_the_number_of_points_at_once_changes_nothing(sam: FrozenSam, embeddings: Tensor) -> None:
    by_five = find(sam, embeddings[:1], replace(OPEN, points_per_batch=5))
    at_once = find(sam, embeddings[:1], OPEN)
    torch.testing.assert_close(by_five.sum(), at_once.sum(), rtol=1e-3, atol=0.0)


def one_query(probs: list[float]) -> ClassifiedMasks:
    """One mask on the left one of two pixels."""
    left = torch.tensor([[[99.0, -99.0]]])
    return ClassifiedMasks(left, torch.tensor([probs]), torch.tensor([0.3]))


LEFT, RIGHT = [[99.0, -99.0]], [[-99.0, 99.0]]


def further_masks(
    queries: ClassifiedMasks,
    logits: Tensor,
    probs: Tensor,
    settings: EverythingSettings = DEFAULTS,
) -> FurtherMasks:
    """Further masks with the given names, the good ones chosen."""
    vectors, valid = torch.zeros(len(probs), 2), torch.ones(len(probs), dtype=torch.bool)
    chosen = choose_extra(queries, logits, probs, SEEN, settings)
    return FurtherMasks(logits, probs, vectors, valid, chosen)


def semantic(
    query: list[float], sam_masks: list[list[list[float]]], probs: list[list[float]]
) -> Tensor:
    """Scores [K, 2] of two pixels."""
    queries = one_query(query)
    logits, named = torch.tensor(sam_masks).view(-1, 1, 2), torch.tensor(probs).view(-1, 4)
    votes = combine_semantic(queries, further_masks(queries, logits, named), SEEN, DEFAULTS)
    ((_, scores),) = semantic_tiles(votes, Framing((1, 2), (1, 2), (1, 2)))
    return scores[:, 0]


def test_unseen_scores_are_four_fifths_queries_and_one_fifth_sam_masks() -> None:
    scores = semantic([0.5, 0.3, 0.1, 0.1], [RIGHT], [[0.1, 0.7, 0.1, 0.1]])
    expected = torch.tensor([[0.5, 0.0], [0.8 * 0.3, 0.2 * 0.7], [0.8 * 0.1, 0.2 * 0.1]])
    torch.testing.assert_close(scores, expected)


def test_sam_masks_add_up() -> None:
    sure = [0.0, 0.9, 0.1, 0.0]
    scores = semantic([0.1, 0.1, 0.1, 0.7], [LEFT, LEFT], [sure, sure])
    assert scores[1, 0].item() == pytest.approx(0.8 * 0.1 + 0.2 * 1.8)


@pytest.mark.parametrize(
    "probs",
    [
        [0.0, 0.5, 0.5, 0.0],  # exactly one half is not enough
        [0.6, 0.4, 0.0, 0.0],  # the sure one is seen
        [0.0, 0.4, 0.0, 0.6],  # void is nobody's category
        [0.0, 0.45, 0.45, 0.1],  # unseen together, but which?
    ],
)
def test_a_sam_mask_without_a_sure_unseen_category_does_not_count(probs: list[float]) -> None:
    scores = semantic([0.5, 0.3, 0.1, 0.1], [RIGHT], [probs])
    assert not scores[:, 1].any()


def test_queries_count_four_fifths_also_where_no_sam_mask_counts() -> None:
    scores = semantic([0.5, 0.3, 0.1, 0.1], [], [])
    torch.testing.assert_close(scores[:, 0], torch.tensor([0.5, 0.24, 0.08]))


def proposals(
    query: list[float],
    sam_masks: list[list[list[float]]],
    probs: list[list[float]],
    settings: EverythingSettings = DEFAULTS,
) -> ClassifiedMasks:
    """The masks that join a query's."""
    queries = one_query(query)
    further = further_masks(queries, torch.tensor(sam_masks), torch.tensor(probs), settings)
    joined = join_masks(queries, further)
    return ClassifiedMasks(joined.mask_logits[1:], joined.class_probs[1:], joined.disagreement[1:])


CAT, NEW = [0.9, 0.05, 0.0, 0.05], [0.1, 0.7, 0.1, 0.1]


def test_a_new_mask_of_an_unseen_category_becomes_a_proposal() -> None:
    found = proposals(CAT, [RIGHT], [NEW])
    assert torch.equal(found.mask_logits > 0, torch.tensor([RIGHT]) > 0)
    assert torch.equal(found.class_probs, torch.tensor([NEW]))
    assert found.disagreement.tolist() == [0.0]


def test_a_mask_that_a_query_has_already_is_dropped() -> None:
    assert len(proposals(CAT, [LEFT, RIGHT], [NEW, NEW]).class_probs) == 1


def test_a_query_that_is_void_keeps_no_mask_out() -> None:
    assert len(proposals([0.1, 0.1, 0.1, 0.7], [LEFT], [NEW]).class_probs) == 1


def test_a_mask_of_a_seen_category_or_an_unsure_one_is_no_proposal() -> None:
    seen, unsure = [0.9, 0.1, 0.0, 0.0], [0.2, 0.4, 0.2, 0.2]
    assert len(proposals(CAT, [RIGHT, RIGHT], [seen, unsure]).class_probs) == 0


def test_with_a_low_threshold_the_unseen_category_must_still_be_the_best() -> None:
    probs = [[0.5, 0.3, 0.1, 0.1], [0.3, 0.4, 0.2, 0.1]]
    found = proposals(CAT, [RIGHT, RIGHT], probs, replace(DEFAULTS, min_probability=0.1))
    assert torch.equal(found.class_probs, torch.tensor(probs[1:]))


def test_proposals_lie_on_the_queries_grid_and_join_them() -> None:
    queries = ClassifiedMasks(-torch.ones(1, 5, 8, 12), torch.rand(1, 5, 4), torch.rand(1, 5))
    further = further_masks(queries, torch.full((1, 24, 24), 9.0), torch.tensor([NEW]))
    both = join_masks(queries, further)
    assert both.mask_logits.shape == (6, 8, 12)
    assert both.class_probs.shape == (6, 4)
    assert torch.equal(both.mask_logits[:5], queries.mask_logits[0])
    assert both.disagreement[5] == 0


def test_a_mask_is_as_far_from_sams_as_from_the_nearest_of_them() -> None:
    queries = one_query(CAT)
    some = further_masks(queries, torch.tensor([LEFT, RIGHT]), torch.tensor([NEW, NEW]))
    assert sam_disagreement(queries, some).tolist() == [0.0, 0.0]  # the second is SAM's own
    none = further_masks(queries, torch.zeros(0, 1, 2), torch.zeros(0, 4))
    assert sam_disagreement(queries, none).tolist() == [1.0]


def test_overlap_is_counted_in_cells() -> None:
    a = torch.tensor([[[1.0, 1.0, 1.0, -1.0]], [[-1.0] * 4]])
    b = torch.tensor([[[-1.0, 1.0, 1.0, 1.0]], [[-1.0] * 4]])
    torch.testing.assert_close(mask_iou(a, b), torch.tensor([[0.5, 0.0], [0.0, 0.0]]))


def test_overlap_is_counted_in_full_precision_under_autocast() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(3, 40, 40), torch.randn(4, 40, 40)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = mask_iou(a, b)
    assert torch.equal(coarse, mask_iou(a, b))


def test_boxes_are_finer_than_a_cell() -> None:
    wide = torch.tensor([[-1.0, 3.0, 3.0, -1.0]]).expand(4, 4)
    narrow = torch.tensor([[-3.0, 1.0, 1.0, -3.0]]).expand(4, 4)
    boxes = boxes_of(torch.stack([wide, narrow]))
    assert boxes.tolist() == [[3, 0, 12, 15], [5, 0, 10, 15]]  # pixels of 16 x 16
