"""Weighted sums of table rows, with a quick backward on CPUs."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx


def sum_weighted_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return [N, d]: for each bag of K rows their weighted sum.

    Args:
        table: float32 [M, d].
        rows: int32 [N, K], 0..M-1.
        weights: float32 [N, K].
    """
    if table.device.type == "cpu" and torch.is_grad_enabled():
        result: Tensor = _WeightedRows.apply(table, rows, weights)
        return result
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)


class _WeightedRows(Function):
    """`embedding_bag` whose backward is two sparse products.

    PyTorch's own backward adds row by row. This one is about 2.5 times faster on one CPU core
    (2026-11-23), with the 6144 x 4 bags of 48 rows of 32 channels that four images are to nano.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, weights)
        return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, Tensor]:
        table, rows, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        gradient = gradient.contiguous()
        return (
            _gradient_of_table(table, rows, weights, gradient),
            None,
            _gradient_of_weights(table, rows, weights, gradient),
        )


def _gradient_of_table(table: Tensor, rows: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
    """Return [M, d]: for each row the weighted sum of the gradients of the bags it lies in."""
    entries = rows.flatten()
    by_row = entries.argsort()
    counts = entries.bincount(minlength=len(table))
    bags = by_row.div(rows.shape[1], rounding_mode="floor")
    return F.embedding_bag(
        bags,
        gradient,
        offsets=counts.cumsum(0) - counts,
        mode="sum",
        per_sample_weights=weights.flatten().index_select(0, by_row),
    )


def _gradient_of_weights(table: Tensor, rows: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
    """Return [N, K]: the product of each bag's gradient with each of its rows."""
    bags, size = rows.shape
    starts = torch.arange(0, bags * size + 1, size, dtype=torch.int32)
    with warnings.catch_warnings():  # that sparse tensors are in beta is no news for the user
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        entries = torch.sparse_csr_tensor(
            starts, rows.flatten(), weights.flatten(), (bags, len(table)), check_invariants=False
        )
        products: Tensor = torch.sparse.sampled_addmm(entries, gradient, table.T, beta=0.0)
    return products.values().view(bags, size)
