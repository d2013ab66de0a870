"""The attention of SAM's image encoder gives segment-anything's numbers and gradients."""

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention

from frozenseg_label.model.relative_position_attention import RelativePositionAttention


@pytest.mark.parametrize("map_size", [(5, 5), (4, 7)])
def test_attention_with_longer_vectors_equals_segment_anythings_own(
    map_size: tuple[int, int],
) -> None:
    torch.manual_seed(1)
    theirs = Attention(dim=48, num_heads=3, use_rel_pos=True, input_size=map_size)
    torch.nn.init.normal_(theirs.rel_pos_h)
    torch.nn.init.normal_(theirs.rel_pos_w)
    ours = RelativePositionAttention(dim=48, num_heads=3, use_rel_pos=True, input_size=map_size)
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, *map_size, 48)
    torch.testing.assert_close(ours(tokens), theirs(tokens), atol=1e-5, rtol=0.0)


def test_gradients_of_the_fused_attention_equal_segment_anythings_own() -> None:
    torch.manual_seed(2)
    theirs = Attention(dim=16, num_heads=2, use_rel_pos=True, input_size=(4, 4))
    ours = RelativePositionAttention(dim=16, num_heads=2, use_rel_pos=True, input_size=(4, 4))
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(1, 4, 4, 16)
    for attention in (ours, theirs):
        attention(tokens).square().sum().backward()
    for name, parameter in ours.named_parameters():
        expected = theirs.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, atol=1e-5, rtol=1e-5)
