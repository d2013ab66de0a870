"""A token embedding that stores only the tokens that its training met."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CompactTokenEmbedding(nn.Module):
    """Takes the place of `nn.Embedding`: a row for each stored token, and one for all others.

    A tokeniser's 49,408 rows are far larger than a small text tower, and rows that training never
    touched are useless. The stored ids are a buffer that is saved with the weights: before weights
    are loaded, give the right number of ids; any ids will do.

    Args:
        token_ids: the tokens to store, each once; kept in ascending order.
        width: channels of a row.
    """

    token_ids: Tensor

    def __init__(self, token_ids: Sequence[int], width: int) -> None:
        super().__init__()
        if not token_ids or len(set(token_ids)) != len(token_ids):
            raise ValueError(f"token_ids must be at least one, each once, got {tuple(token_ids)}")
        self.register_buffer("token_ids", torch.tensor(sorted(token_ids)))  # int64 [N]
        self.weight = nn.Parameter(torch.empty(len(token_ids) + 1, width))  # [N + 1, width]
        nn.init.normal_(self.weight, std=0.02)  # as open_clip's text towers begin

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the rows of tokens of any shape [...]: [..., width]."""
        count = len(self.token_ids)
        rows = torch.searchsorted(self.token_ids, tokens.contiguous()).clamp(max=count - 1)
        rows = torch.where(self.token_ids[rows] == tokens, rows, count)
        return F.embedding(rows, self.weight)
