"""Features are averaged over masks."""

import pytest
import torch
from torch.testing import assert_close

from frozenseg_label.model.mask_pooling import mask_on_grid, pool_masks


def test_a_mask_pools_the_mean_of_what_it_covers() -> None:
    features = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]])[None]
    right_column = torch.tensor([[-1.0, 5.0], [-1.0, 0.1]])
    everything = torch.ones(2, 2)
    pooled = pool_masks(features, torch.stack([right_column, everything])[None])
    assert_close(pooled, torch.tensor([[[3.0, 30.0], [2.5, 25.0]]]))


def test_a_logit_of_exactly_zero_lies_outside() -> None:
    logits = torch.tensor([[[[0.0, 1e-30], [-1e-30, 1.0]]]])
    assert mask_on_grid(logits, (2, 2)).tolist() == [[[[False, True], [False, True]]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_empty_mask_pools_zeros(dtype: torch.dtype) -> None:
    pooled = pool_masks(torch.rand(1, 3, 4, 4, dtype=dtype), torch.full((1, 2, 4, 4), -3.0))
    assert pooled.dtype == dtype
    assert pooled.count_nonzero() == 0


def test_no_masks_pool_nothing() -> None:
    assert pool_masks(torch.rand(1, 3, 4, 4), torch.zeros(1, 0, 8, 8)).shape == (1, 0, 3)


def test_logits_are_resized_before_they_are_compared_with_zero() -> None:
    # Halving takes the mean of each 2 x 2 block: three weak votes lose against one strong.
    block = torch.tensor([[1.0, 1.0], [1.0, -4.0]])
    assert not mask_on_grid(block[None, None], (1, 1)).any()
    assert mask_on_grid(-block[None, None], (1, 1)).all()


def test_a_mask_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    features, logits = torch.randn(2, 8, 5, 6), torch.randn(2, 4, 20, 24)
    others = torch.randn(2, 4, 20, 24)
    others[1, 2] = logits[1, 2]
    changed = torch.randn(2, 8, 5, 6)
    changed[1] = features[1]
    assert torch.equal(pool_masks(features, logits)[1, 2], pool_masks(changed, others)[1, 2])


def test_gradients_reach_the_features_inside_the_mask_only() -> None:
    features = torch.rand(1, 1, 2, 2, requires_grad=True)
    pool_masks(features, torch.tensor([[[[1.0, 1.0], [-1.0, -1.0]]]])).sum().backward()
    assert features.grad is not None
    assert_close(features.grad, torch.tensor([[[[0.5, 0.5], [0.0, 0.0]]]]))
