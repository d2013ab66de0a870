"""What several tests need: a model so small that everything runs, with random but fixed weights."""

from collections.abc import Callable

import pytest
import torch

from frozenseg_label.model.clip_backbone import TextTower, convnext_clip
from frozenseg_label.model.everything_settings import EverythingSettings
from frozenseg_label.model.frozenseg import FrozenSeg, InputSize
from frozenseg_label.model.pixel_decoder import PixelDecoder
from frozenseg_label.model.sam import vit_sam
from frozenseg_label.model.transformer_decoder import TransformerDecoder


def build_tiny_frozenseg() -> FrozenSeg:
    """A FrozenSeg of a few hundred kilobytes, with every part that the large ones have."""
    torch.manual_seed(0)
    clip = convnext_clip(
        embedding_size=16,
        depths=(1, 1, 1, 1),
        dims=(8, 16, 24, 32),
        text=TextTower(width=16, heads=2, layers=1),
        layer_scale=None,
    )
    sam = vit_sam(
        image_size=64,
        embed_dim=24,
        depth=2,
        heads=2,
        channels=32,
        window=2,
        global_blocks=(1,),
        decoder_heads=2,
        decoder_feedforward=32,
        iou_hidden=16,
    )
    return FrozenSeg(
        clip=clip,
        sam=sam,
        pixel_decoder=PixelDecoder(
            clip.channels,
            sam_channels=32,
            channels=32,
            layers=1,
            heads=2,
            points=4,
            feedforward=32,
        ),
        transformer_decoder=TransformerDecoder(
            channels=32, embedding_size=16, queries=12, layers=3, heads=2, feedforward=32
        ),
        input_size=InputSize(shortest=64, longest=96),
        everything=EverythingSettings(
            points_per_side=4, min_predicted_iou=-10.0, min_stability=0.0
        ),
    ).eval()


@pytest.fixture
def build_tiny() -> Callable[[], FrozenSeg]:
    return build_tiny_frozenseg


@pytest.fixture
def tiny_frozenseg() -> FrozenSeg:
    return build_tiny_frozenseg()
