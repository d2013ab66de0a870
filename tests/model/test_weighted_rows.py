"""Weighted sums of table rows and their gradients."""

import torch
import torch.nn.functional as F

from frozenseg_label.model.weighted_rows import sum_weighted_rows


def test_sums_and_gradients_are_those_of_embedding_bag() -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(50, 8, generator=generator, requires_grad=True)
    weights = torch.randn(30, 12, generator=generator, requires_grad=True)
    rows = torch.randint(0, 40, (30, 12), generator=generator, dtype=torch.int32)  # with repeats
    gradient = torch.randn(30, 8, generator=generator)

    ours = sum_weighted_rows(table, rows, weights)
    theirs = F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)

    assert torch.equal(ours, theirs)
    for mine, expected in zip(
        torch.autograd.grad(ours, (table, weights), gradient),
        torch.autograd.grad(theirs, (table, weights), gradient),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected)
    assert not torch.autograd.grad(sum_weighted_rows(table, rows, weights).sum(), table)[0][
        40:
    ].any()


def test_a_row_twice_in_one_bag_counts_twice() -> None:
    table = torch.tensor([[1.0], [2.0]], requires_grad=True)
    rows = torch.tensor([[1, 1]], dtype=torch.int32)
    weights = torch.tensor([[3.0, 4.0]], requires_grad=True)
    total = sum_weighted_rows(table, rows, weights)
    total.backward()
    assert total.item() == 14.0
    assert table.grad is not None
    assert weights.grad is not None
    assert table.grad.tolist() == [[0.0], [7.0]]
    assert weights.grad.tolist() == [[2.0, 2.0]]
