"""The attention of SAM's image encoder: segment-anything's numbers, by PyTorch's fused kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.model.parts_of_packages import without_the_rest

with without_the_rest("segment_anything"):
    from segment_anything.modeling.image_encoder import Attention, get_rel_pos


class RelativePositionAttention(Attention):  # type: ignore[misc]  # segment-anything has no types
    """Attention with segment-anything's parameters, numbers and arguments."""

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each map of x, [N, h, w, C] -> [N, h, w, C]."""
        n, h, w, _ = x.shape
        qkv = self.qkv(x).view(n, h * w, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # each [N, heads, h * w, d]
        row_table = get_rel_pos(h, h, self.rel_pos_h)  # [h, h, d]
        column_table = get_rel_pos(w, w, self.rel_pos_w)  # [w, w, d]
        mixed = attend_with_relative_positions(q, k, v, row_table, column_table)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, h, w, -1))
        return out


def attend_with_relative_positions(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    row_table: Tensor,
    column_table: Tensor,
) -> Tensor:
    """Return the weighted sum of the values for every query, [N, heads, h * w, d].

    SAM's encoder adds q . R_row + q . R_column to each attention logit; R depends on the difference
    of rows or columns only (MViTv2, arXiv 2112.01526, section 4.1). So the bias of a query and a
    key is entry row(k) of one vector of the query plus entry column(k) of another: the scalar
    product of [row vector, column vector] with [one-hot row, one-hot column]. Therefore

        logit = [q * scale, rows(q), columns(q)] . [k, one-hot row, one-hot column]

    is what fused attention computes, without the [tokens, tokens] bias that costs most of SAM's
    memory.

    Args:
        queries: [N, heads, h * w, d], tokens row by row, not scaled.
        keys: [N, heads, h * w, d].
        values: [N, heads, h * w, d].
        row_table: [h, h, d], vector of (row of the query, row of the key).
        column_table: [w, w, d], likewise for columns.
    """
    n, heads, tokens, d = queries.shape
    h, w = row_table.shape[0], column_table.shape[0]
    if tokens != h * w:
        raise ValueError(f"{tokens} tokens do not fill a map of {h} x {w}")
    on_map = queries.view(n, heads, h, w, d)
    by_row = torch.einsum("nahwd,hkd->nahwk", on_map, row_table)  # [N, heads, h, w, h]
    by_column = torch.einsum("nahwd,wkd->nahwk", on_map, column_table)  # [N, heads, h, w, w]
    long_queries = torch.cat(
        [
            queries * d**-0.5,
            by_row.reshape(n, heads, tokens, h).to(queries.dtype),
            by_column.reshape(n, heads, tokens, w).to(queries.dtype),
        ],
        dim=-1,
    )  # [N, heads, h * w, d + h + w]
    one_hot = _one_hot_positions(h, w, keys).expand(n, heads, -1, -1)
    long_keys = torch.cat([keys, one_hot], dim=-1)  # [N, heads, h * w, d + h + w]
    # The fused kernels want values as wide as the keys; PyTorch on CPUs is silently slow otherwise.
    long_values = F.pad(values, (0, h + w))
    return F.scaled_dot_product_attention(long_queries, long_keys, long_values, scale=1.0)[..., :d]


def _one_hot_positions(h: int, w: int, like: Tensor) -> Tensor:
    """Return for each token a one in its row and a one in its column, [h * w, h + w]."""
    rows = torch.eye(h, dtype=like.dtype, device=like.device).repeat_interleave(w, dim=0)
    columns = torch.eye(w, dtype=like.dtype, device=like.device).repeat(h, 1)
    return torch.cat([rows, columns], dim=1)
