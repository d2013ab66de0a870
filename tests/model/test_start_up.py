"""What nano needs is imported, and no more; parts that are written out equal the libraries' own."""

import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from frozenseg_label.model.convnext import ConvNextTrunk
from frozenseg_label.model.text_transformer import TextTransformer

LABEL = """
import sys
import numpy as np
from frozenseg_label import load_predictor
load_predictor("stickers").label(np.zeros((64, 64, 3), np.uint8))
heavy = ("torchvision", "timm", "open_clip", "segment_anything", "torch._dynamo", "sympy")
print([name for name in heavy if name in sys.modules])
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import PromptEncoder
assert sys.modules["frozenseg_label.model.sam"].PromptEncoder is PromptEncoder
"""


def test_nano_labels_without_libraries_that_take_longer_to_import_than_it_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LABEL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_a_convnext_equals_timms(output_stride: int) -> None:
    timm = pytest.importorskip("timm.models.convnext", reason="open_clip brings timm")
    torch.manual_seed(0)
    depths, dims = (1, 2, 1, 1), (8, 16, 24, 32)
    for norm, conv_mlp, scale in (("layer", False, 0.5), ("batch", True, None)):
        own = ConvNextTrunk(depths, dims, 3, output_stride, scale, norm, conv_mlp=conv_mlp).eval()
        theirs = timm.ConvNeXt(
            num_classes=0,
            output_stride=output_stride,
            depths=depths,
            dims=dims,
            kernel_sizes=3,
            ls_init_value=scale,
            conv_mlp=conv_mlp,
            norm_layer="batchnorm2d" if norm == "batch" else None,
        ).eval()
        theirs.load_state_dict(own.state_dict(), strict=norm == "layer")
        pixels = torch.randn(2, 3, 96, 64)
        maps = own.stages(own.stem(pixels))
        assert_close(maps, theirs.forward_features(pixels), atol=1e-5, rtol=1e-5)
        if norm == "layer":
            assert_close(own.forward_head(maps), theirs.forward_head(maps), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_text_blocks_equal_open_clips(quick_gelu: bool) -> None:
    from open_clip.transformer import QuickGELU, Transformer

    torch.manual_seed(1)
    own = TextTransformer(16, layers=2, heads=2, quick_gelu=quick_gelu).eval()
    act = QuickGELU if quick_gelu else torch.nn.GELU
    theirs = Transformer(16, layers=2, heads=2, act_layer=act).eval()
    theirs.load_state_dict(own.state_dict())
    tokens, later = torch.randn(3, 5, 16), torch.full((5, 5), -torch.inf).triu(1)
    assert_close(own(tokens, later), theirs(tokens, attn_mask=later), atol=1e-5, rtol=1e-5)
