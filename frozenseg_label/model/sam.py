"""The frozen SAM: image embedding for the decoder, and masks from points for the mask ensemble.

The modules are segment-anything's, with its parameter names (arXiv 2304.02643); only the attention
of the image encoder and the mask decoder are computed another way, see
`relative_position_attention` and `point_masks`, and nano's SAM starts with convolutions, see
`ConvStem`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.model.parts_of_packages import without_the_rest
from frozenseg_label.model.pixel_normalisation import normalise_pixels
from frozenseg_label.model.point_masks import PointAnswers, ask_points, draw_masks
from frozenseg_label.model.relative_position_attention import RelativePositionAttention

with without_the_rest("segment_anything"):
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        TwoWayTransformer,
    )

SAM_MEAN = (123.675, 116.28, 103.53)  # RGB, 0..255; segment_anything/build_sam.py
SAM_STD = (58.395, 57.12, 57.375)

PATCH = 16  # pixels of the image per cell of the embedding, in every SAM
DECODER_LAYERS = 2  # two-way layers of the mask decoder, likewise


@dataclass(frozen=True)
class DecoderSizes:
    """Sizes of SAM's mask decoder; the defaults are the published ones.

    Attributes:
        heads: attention heads of the two-way layers.
        feedforward: their hidden width.
        iou_hidden: hidden width of the IoU head.
    """

    heads: int = 8
    feedforward: int = 2048
    iou_hidden: int = 256


AS_PUBLISHED = DecoderSizes()


class FrozenSam(nn.Module):
    """Segment Anything as FrozenSeg uses it.

    Args:
        image_encoder: [B, 3, S, S] -> [B, C, s, s], with S = `image_size`.
        prompt_encoder: segment-anything's, for an image of S x S and an embedding of s x s.
        mask_decoder: segment-anything's.
        channels: C.
        image_size: S; every image is stretched to this square.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        channels: int,
        image_size: int,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.channels = channels
        self.image_size = image_size

    def encode(self, pixels: Tensor, image_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Return the image embedding, [B, C, s, s].

        The padded image is stretched to a square: its aspect ratio is lost and the padding comes
        along, unlike in segment-anything. The published FrozenSeg weights expect that.

        Args:
            pixels: float [B, 3, h, w] RGB 0..255, padded right and bottom.
            image_sizes: height and width of each image without its padding.
        """
        normalised = normalise_pixels(pixels, image_sizes, SAM_MEAN, SAM_STD)  # zero in the padding
        square = (self.image_size, self.image_size)
        stretched = F.interpolate(normalised, square, mode="bilinear", align_corners=False)
        embedding: Tensor = self.image_encoder(stretched)  # [B, C, s, s]
        return embedding

    def encode_points(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Embed single foreground points: sparse [P, 2, C] and dense [P, C, s, s].

        Args:
            points: [P, 2], x and y in 0..1 of the padded image; 0 and 1 are its outer edges.
        """
        # The prompt encoder takes pixel indices and moves them to the pixels' centres.
        coordinates = points.float()[:, None] * self.image_size - 0.5  # [P, 1, 2]
        labels = torch.ones(coordinates.shape[:2], dtype=torch.int32, device=points.device)
        # Sines of many radians: half precision would move the points by pixels.
        with torch.autocast(points.device.type, enabled=False):
            sparse, dense = self.prompt_encoder(
                points=(coordinates, labels), boxes=None, masks=None
            )
        return sparse, dense

    def ask_points(self, embedding: Tensor, points: Tensor) -> PointAnswers:
        """Return how good three masks of every point would be, and what draws them.

        Args:
            embedding: [1, C, s, s], of one image.
            points: [P, 2], x and y in 0..1 of the padded image.
        """
        if embedding.shape[0] != 1:
            raise ValueError(f"ask_points takes the embedding of one image, got {len(embedding)}")
        sparse, dense = self.encode_points(points)
        image = embedding[0] + dense[0]  # points without a mask add the same to every embedding
        return ask_points(self.mask_decoder, image, self.position_encoding()[0], sparse)

    def draw_masks(self, answers: PointAnswers) -> Tensor:
        """Return three masks of every point that was asked about, logits [P, 3, 4s, 4s].

        The masks cover the stretched image with its padding. Stretching is linear, so resizing them
        to the padded size undoes it.
        """
        return draw_masks(self.mask_decoder, answers)

    def decode_points(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return three masks of every point, logits [P, 3, 4s, 4s], and their predicted IoU [P, 3].

        See `ask_points` and `draw_masks`.
        """
        answers = self.ask_points(embedding, points)
        return self.draw_masks(answers), answers.ratings

    def position_encoding(self) -> Tensor:
        """Return the position encoding of the embedding's cells, [1, C, s, s]."""
        device: torch.device = self.prompt_encoder.no_mask_embed.weight.device
        with torch.autocast(device.type, enabled=False):  # sines again
            encoding: Tensor = self.prompt_encoder.get_dense_pe()
        return encoding


def vit_sam(
    *,
    image_size: int,
    embed_dim: int,
    depth: int,
    heads: int,
    channels: int,
    window: int = 0,
    global_blocks: Sequence[int] = (),
    conv_stem: Sequence[int] | None = None,
    decoder: DecoderSizes = AS_PUBLISHED,
) -> FrozenSam:
    """Build a SAM with random weights.

    Args:
        image_size: side of the square that the encoder sees.
        embed_dim: width of the encoder's blocks.
        depth: number of blocks.
        heads: attention heads of each block.
        channels: C, of the image embedding and the mask decoder.
        window: side of the attention windows; 0 = every block is global.
        global_blocks: blocks without windows.
        conv_stem: widths of a `ConvStem` in place of the patch embedding (nano).
        decoder: sizes of the mask decoder.
    """
    encoder = ImageEncoderViT(
        img_size=image_size,
        patch_size=PATCH,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=heads,
        out_chans=channels,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=tuple(global_blocks),
    )
    side = image_size // PATCH
    for block in encoder.blocks:
        block.attn = RelativePositionAttention(
            embed_dim, heads, use_rel_pos=True, input_size=(block.window_size or side,) * 2
        )
    if conv_stem is not None:
        if 2 ** (len(conv_stem) + 1) != PATCH:
            raise ValueError(
                f"conv_stem {tuple(conv_stem)} does not make patches of {PATCH} pixels"
            )
        encoder.patch_embed = ConvStem(conv_stem, embed_dim)
    prompt_encoder = PromptEncoder(
        channels, (side, side), (image_size, image_size), mask_in_chans=16
    )
    transformer = TwoWayTransformer(DECODER_LAYERS, channels, decoder.heads, decoder.feedforward)
    mask_decoder = MaskDecoder(
        transformer_dim=channels, transformer=transformer, iou_head_hidden_dim=decoder.iou_hidden
    )
    return FrozenSam(encoder, prompt_encoder, mask_decoder, channels, image_size)


class ConvStem(nn.Module):
    """Strided convolutions that end as SAM's patch embedding does, channels last.

    Early convolutions make small transformers train fast and stably (arXiv 2106.14881). nano's SAM
    has them in place of the patch embedding; the blocks and the neck after them are SAM's own.

    Args:
        widths: channels after each stride-2 step but the last; n = len(widths) + 1.
        embed_dim: channels of the tokens.
    """

    def __init__(self, widths: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        sizes = [3, *widths, embed_dim]
        self.steps = nn.ModuleList(_conv_norm(a, b, stride=2) for a, b in pairwise(sizes))
        # Residual steps at half the final resolution, where edges are sharp, and at the final one.
        self.refine = nn.ModuleList(_conv_norm(widths[-1], widths[-1], stride=1) for _ in range(2))
        self.gather = nn.ModuleList(_conv_norm(embed_dim, embed_dim, stride=1) for _ in range(2))
        self.proj = nn.Conv2d(embed_dim, embed_dim, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Turn images [B, 3, H, W] into tokens [B, H / 2^n, W / 2^n, embed_dim]."""
        x = image
        for step in self.steps[:-1]:
            x = F.relu(step(x))
        for step in self.refine:
            x = x + F.relu(step(x))
        x = F.relu(self.steps[-1](x))
        for step in self.gather:
            x = x + F.relu(step(x))
        tokens: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return tokens


def _conv_norm(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))
