"""The models that can be built by name; all their numbers are here."""

from collections.abc import Callable

from frozenseg_label.model.clip_backbone import (
    ConvNextClip,
    FrozenClip,
    TextTower,
    convnext_clip,
    resnet_clip,
)
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.pixel_decoder import PixelDecoder
from frozenseg_label.model.sam import DecoderSizes, FrozenSam, vit_sam
from frozenseg_label.model.settings import (
    EnsembleSettings,
    EverythingSettings,
    InputSize,
    MergeSettings,
)
from frozenseg_label.model.transformer_decoder import TransformerDecoder


def build_frozenseg_convnext_large() -> FrozenSeg:
    """Build the published FrozenSeg with open_clip's `convnext_large_d_320` and SAM ViT-B."""
    clip = convnext_clip(
        embedding_size=768,
        depths=(3, 3, 27, 3),
        dims=(192, 384, 768, 1536),
        text=TextTower(width=768, heads=12, layers=16),
    )
    return _published(clip)


def build_frozenseg_rn50x64() -> FrozenSeg:
    """Build the published FrozenSeg with OpenAI's `RN50x64` and SAM ViT-B."""
    clip = resnet_clip(
        embedding_size=1024,
        layers=(3, 15, 36, 10),
        width=128,
        heads=64,
        image_size=448,
        text=TextTower(width=1024, heads=16, layers=12, quick_gelu=True),
    )
    return _published(clip)


def build_frozenseg_nano() -> FrozenSeg:
    """Build the embedded model of the nano world; `recipes/nano` trains it from nothing."""
    clip = build_nano_clip()
    return FrozenSeg(
        clip=clip,
        sam=build_nano_sam(),
        pixel_decoder=PixelDecoder(
            clip.channels,
            sam_channels=128,
            channels=128,
            layers=2,
            heads=4,
            points=4,
            feedforward=256,
        ),
        transformer_decoder=TransformerDecoder(
            channels=128,
            embedding_size=clip.embedding_size,
            queries=50,
            layers=6,
            heads=8,
            feedforward=512,
        ),
        input_size=InputSize(shortest=256, longest=512),
        # Chosen on 80 to 100 scenes of the validation style; `evaluate.py` measures each again.
        ensemble=EnsembleSettings(alpha=0.6, beta=0.8, void_bias=-1.0),
        merge=MergeSettings(min_visible=0.65, max_mask_iou=0.4),
        # Chosen on 40 scenes of the validation style: a small SAM's masks are softer than ViT-H's.
        everything=EverythingSettings(
            points_per_side=10,
            points_per_batch=32,
            min_predicted_iou=0.45,
            min_stability=0.45,
            min_probability=0.3,
        ),
    )


def _published(clip: FrozenClip) -> FrozenSeg:
    """Build a published model around its CLIP; all other parts are the same in both."""
    return FrozenSeg(
        clip=clip,
        sam=build_sam_vit_b(),
        # The published SAM branch was trained through a kernel that reads a module of three levels
        # as if it had one; see `deformable_attention`. Heads trained from scratch take one level.
        pixel_decoder=PixelDecoder(
            clip.channels,
            sam_channels=256,
            channels=256,
            layers=6,
            heads=8,
            points=4,
            feedforward=1024,
            sam_levels=3,
        ),
        transformer_decoder=TransformerDecoder(
            channels=256,
            embedding_size=clip.embedding_size,
            queries=250,
            layers=9,
            heads=8,
            feedforward=2048,
        ),
        input_size=InputSize(shortest=800, longest=1333),
    )


def build_sam_vit_b() -> FrozenSam:
    """Build SAM ViT-B as published (segment_anything/build_sam.py)."""
    return vit_sam(
        image_size=1024,
        embed_dim=768,
        depth=12,
        heads=12,
        channels=256,
        window=14,
        global_blocks=(2, 5, 8, 11),
    )


def build_nano_clip() -> ConvNextClip:
    """Build a CLIP of 3.8 M parameters for the nano world (recipes.nano.making.train_clip).

    res5 has stride 16, as res4. The text tower stores 1024 tokens: those of the nano world's words
    and of the templates. Which ones, the recipe writes into the buffer
    `model.token_embedding.token_ids`, which travels with the weights.
    """
    return convnext_clip(
        embedding_size=128,
        depths=(2, 4, 8, 4),
        dims=(32, 64, 128, 256),
        text=TextTower(
            width=64, heads=2, layers=2, context_length=20, token_ids=tuple(range(1024))
        ),
        kernel_size=3,  # twice as fast to train as 7 and no worse at these sizes
        output_stride=16,
        layer_scale=None,  # from scratch in so few steps, a layer scale of 1e-6 never gets going
        norm="batch",
        conv_mlp=True,
    )


def build_nano_sam() -> FrozenSam:
    """Build a SAM of 3.9 M parameters for the nano world (recipes.nano.making.train_sam)."""
    return vit_sam(
        image_size=256,
        embed_dim=160,
        depth=6,
        heads=4,
        channels=128,
        conv_stem=(32, 64, 128),
        decoder=DecoderSizes(heads=4, feedforward=512, iou_hidden=128),
    )


BUILDERS: dict[str, Callable[[], FrozenSeg]] = {
    "nano": build_frozenseg_nano,
    "convnext-large": build_frozenseg_convnext_large,
    "rn50x64": build_frozenseg_rn50x64,
}
