"""The blocks of the transformers: as PyTorch's own attention, and blind where they may not look."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from frozenseg_label.model.attention import MLP, AttentionBlock, FeedForward, MultiHeadAttention


def test_attention_equals_the_one_of_pytorch_with_the_same_weights() -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(16, 4)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    nn.init.normal_(ours.in_proj_bias)
    theirs.load_state_dict(ours.state_dict())
    queries, keys, values = torch.randn(2, 3, 16), torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    allowed = torch.rand(2, 3, 5) > 0.3
    allowed[..., 0] = True
    expected, _ = theirs(queries, keys, values, attn_mask=~allowed.repeat_interleave(4, dim=0))
    torch.testing.assert_close(ours(queries, keys, values, allowed), expected)


def test_a_query_does_not_see_what_it_may_not_look_at() -> None:
    torch.manual_seed(0)
    block = AttentionBlock(8, 2)
    queries, positions, tokens = torch.randn(1, 2, 8), torch.randn(2, 8), torch.randn(1, 3, 8)
    allowed = torch.tensor([[[True, True, False], [True, True, True]]])
    before = block(queries, positions, tokens, tokens, allowed)
    tokens[0, 2] += 10.0
    after = block(queries, positions, tokens, tokens, allowed)
    torch.testing.assert_close(after[0, 0], before[0, 0])
    assert not torch.allclose(after[0, 1], before[0, 1])


def test_heads_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads, got 10 and 4"):
        MultiHeadAttention(10, 4)


def test_blocks_end_normalised() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 32)
    for y in (FeedForward(32, 64)(x), AttentionBlock(32, 4)(x, torch.randn(5, 32), x, x)):
        torch.testing.assert_close(y.mean(-1), torch.zeros(2, 5), atol=1e-5, rtol=0)
        torch.testing.assert_close(y.std(-1, correction=0), torch.ones(2, 5), atol=1e-3, rtol=0)


def test_the_mlp_has_no_relu_after_its_last_layer() -> None:
    torch.manual_seed(0)
    mlp = MLP(4, 8, 3)
    x = torch.randn(50, 4)
    first, last = mlp.layers
    torch.testing.assert_close(mlp(x), last(F.relu(first(x))))
    assert mlp(x).min() < 0
