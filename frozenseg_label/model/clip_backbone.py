"""Frozen CLIP: an image as a pyramid and a dense map, masks and prompts as vectors of one space.

The parts are put together by hand so that every size is an argument; all parameters keep the names
of open_clip's own models, one level down under `model` (Radford et al. 2021, arXiv 2103.00020).
OpenAI's ResNet and the tokeniser are open_clip's.
"""

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from frozenseg_label.model.convnext import ConvNextTrunk, FourStages, Mlp
from frozenseg_label.model.mask_pooling import mask_on_grid, pool_by_attention, pool_masks
from frozenseg_label.model.parts_of_packages import without_the_rest
from frozenseg_label.model.pixel_normalisation import normalise_pixels
from frozenseg_label.model.text_transformer import TextTransformer
from frozenseg_label.model.token_embedding import CompactTokenEmbedding

if TYPE_CHECKING:
    from open_clip.modified_resnet import ModifiedResNet

CLIP_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_STD = (68.5005327, 66.6321579, 70.32316305)

CONTEXT = 77  # tokens of a prompt in published CLIPs, its begin and end included
FIRST_SCALE = math.log(1 / 0.07)  # CLIP's first temperature, as it is stored

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class TextTower:
    """Sizes of a text tower; the defaults are those of all of CLIP's published towers.

    Attributes:
        width: channels of a token.
        heads: of the attention.
        layers: transformer blocks.
        context_length: tokens of a prompt, its begin and end included; longer ones are cut.
        vocab_size: tokens that the tokeniser knows.
        token_ids: the only tokens with a row of their own, all others share one; None: all. See
            `CompactTokenEmbedding` for what to give before weights are loaded.
        quick_gelu: OpenAI's approximate GELU in place of the exact one.
    """

    width: int
    heads: int
    layers: int
    context_length: int = CONTEXT
    vocab_size: int = 49408
    token_ids: tuple[int, ...] | None = None
    quick_gelu: bool = False


class FrozenClip(nn.Module, ABC):
    """The common parts of both families. Gradients are possible; `FrozenSeg` does the freezing.

    Attributes:
        model: image tower, text tower and scale under open_clip's names.
        channels: of res2, res3, res4, res5.
        embedding_size: D.
        context_length: tokens of a prompt.
    """

    def __init__(
        self, visual: nn.Module, channels: FourStages, embedding_size: int, text: TextTower
    ) -> None:
        super().__init__()
        self.model = ClipModel(visual, embedding_size, text)
        self.channels = channels
        self.embedding_size = embedding_size
        self.context_length = text.context_length

    @property
    def logit_scale(self) -> Tensor:
        """Return CLIP's own scale: a logarithm, scalar."""
        return self.model.logit_scale

    def extract_features(
        self, pixels: Tensor, image_sizes: Sequence[tuple[int, int]]
    ) -> tuple[Pyramid, Tensor]:
        """Return res2..res5, each [B, C_i, h_i, w_i], and the dense map [B, C_4, h_4, w_4].

        Args:
            pixels: [B, 3, h, w] RGB, 0..255, padded right and below with anything.
            image_sizes: height and width of each image without its padding.
        """
        normalised = normalise_pixels(pixels, image_sizes, CLIP_MEAN, CLIP_STD)
        return self.encode_pixels(normalised.to(self.logit_scale.dtype))

    @abstractmethod
    def encode_pixels(self, normalised: Tensor) -> tuple[Pyramid, Tensor]:
        """Return the same for pixels [B, 3, h, w] that are normalised already."""

    @abstractmethod
    def embed_masks(self, dense: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return a vector per mask [B, Q, D], not normalised, and if it means anything [B, Q].

        Args:
            dense: [B, C_4, h, w], the dense map of `extract_features`.
            mask_logits: [B, Q, *, *] at any size; brought to the dense map's size here.
        """

    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Return a vector per prompt [N, D], not normalised."""
        tokens = tokenize(prompts, self.context_length)
        return self.model.encode_tokens(tokens.to(self.logit_scale.device))


class ConvNextClip(FrozenClip):
    """CLIP that sees with a ConvNeXt and projects with a small MLP."""

    @property
    def visual(self) -> "ConvNextTower":
        """Return the image tower."""
        return cast("ConvNextTower", self.model.visual)

    def encode_pixels(self, normalised: Tensor) -> tuple[Pyramid, Tensor]:
        """Run the trunk; see `FrozenClip`."""
        trunk = self.visual.trunk
        x = trunk.stem(normalised)
        levels = []
        for stage in trunk.stages:
            x = stage(x)
            levels.append(x)
        res2, res3, res4, res5 = levels
        return (res2, res3, res4, res5), trunk.norm_pre(x)

    def embed_masks(self, dense: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Pass the mean over each mask through the head, as an image of one pixel; all are valid.

        See `FrozenClip`. An empty mask has a mean too, zeros, and upstream takes it as it is.
        """
        pooled = pool_masks(dense, mask_logits)  # [B, Q, C]
        pixels = pooled.flatten(0, 1)[:, :, None, None]  # [B Q, C, 1, 1]
        embeddings = self.visual.head(self.visual.trunk.forward_head(pixels))  # [B Q, D]
        valid = torch.ones(pooled.shape[:2], dtype=torch.bool, device=pooled.device)
        return embeddings.unflatten(0, pooled.shape[:2]), valid


class ResNetClip(FrozenClip):
    """CLIP that sees with OpenAI's ResNet and projects with an attention pool."""

    @property
    def visual(self) -> "ModifiedResNet":
        """Return the image tower."""
        return self.model.visual

    def encode_pixels(self, normalised: Tensor) -> tuple[Pyramid, Tensor]:
        """Run stem and layers; see `FrozenClip`."""
        res2 = self.visual.layer1(self.visual.stem(normalised))
        res3 = self.visual.layer2(res2)
        res4 = self.visual.layer3(res3)
        res5 = self.visual.layer4(res4)
        return (res2, res3, res4, res5), res5

    def embed_masks(self, dense: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Let the attention pool look through each mask; one without a position is not valid.

        See `FrozenClip`.
        """
        inside = mask_on_grid(mask_logits, (dense.shape[2], dense.shape[3])).flatten(2)
        return pool_by_attention(self.visual.attnpool, dense, inside), inside.any(dim=-1)


class ClipModel(nn.Module):
    """Image tower, text tower and scale under the names that open_clip gives them."""

    def __init__(self, visual: nn.Module, embedding_size: int, text: TextTower) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.empty(text.context_length, text.width))
        self.text_projection = nn.Parameter(torch.empty(text.width, embedding_size))
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_SCALE))
        self.visual = visual
        self.transformer = TextTransformer(text.width, text.layers, text.heads, text.quick_gelu)
        self.token_embedding: nn.Module
        if text.token_ids is None:
            self.token_embedding = nn.Embedding(text.vocab_size, text.width)
            nn.init.normal_(self.token_embedding.weight, std=0.02)
        else:
            self.token_embedding = CompactTokenEmbedding(text.token_ids, text.width)
        self.ln_final = nn.LayerNorm(text.width)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=text.width**-0.5)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Return a vector per row of tokens [N, L], taken at its end token: [N, D]."""
        end = tokens.argmax(dim=-1)  # [N]; the end token has the highest id of all
        # Tokens see only the tokens before them, so the padding behind the last end is left out.
        length = int(end.max()) + 1
        x = self.token_embedding(tokens[:, :length]) + self.positional_embedding[:length]
        later = torch.full((length, length), -torch.inf, dtype=x.dtype, device=x.device).triu(1)
        x = self.ln_final(self.transformer(x, attn_mask=later))  # [N, length, width]
        embeddings: Tensor = x[torch.arange(len(x), device=x.device), end] @ self.text_projection
        return embeddings


class ConvNextTower(nn.Module):
    """Trunk and projection under the names that open_clip gives them."""

    def __init__(self, trunk: ConvNextTrunk, embedding_size: int) -> None:
        super().__init__()
        self.trunk = trunk
        mlp = Mlp(trunk.num_features, 2 * embedding_size, embedding_size, last_bias=False)
        self.head = nn.Sequential(OrderedDict(mlp=mlp))


def convnext_clip(
    embedding_size: int,
    depths: FourStages,
    dims: FourStages,
    text: TextTower,
    kernel_size: int = 7,
    output_stride: Literal[8, 16, 32] = 32,
    layer_scale: float | None = 1e-6,
    norm: Literal["layer", "batch"] = "layer",
    conv_mlp: bool = False,
) -> ConvNextClip:
    """Build a ConvNeXt CLIP with random weights, by default in the form of open_clip's own.

    Args:
        embedding_size: D.
        depths: blocks of the four stages.
        dims: channels of the four stages.
        text: sizes of the text tower.
        kernel_size: of the depthwise convolutions.
        output_stride: of res5; below 32 the last stages are dilated, not strided.
        layer_scale: what each block's output is scaled with at first; None builds no scale.
        norm: of the trunk; "batch" needs `conv_mlp`. Pooled features are layer-normed always, so
            that no mask depends on its neighbours.
        conv_mlp: 1x1 convolutions in place of linear layers in the blocks.
    """
    if norm == "batch" and not conv_mlp:
        raise ValueError("norm='batch' needs conv_mlp=True")
    trunk = ConvNextTrunk(
        depths, dims, kernel_size, output_stride, layer_scale, norm, conv_mlp=conv_mlp
    )
    return ConvNextClip(ConvNextTower(trunk, embedding_size), dims, embedding_size, text)


def resnet_clip(
    embedding_size: int,
    layers: FourStages,
    width: int,
    heads: int,
    image_size: int,
    text: TextTower,
) -> ResNetClip:
    """Build one of OpenAI's ResNet CLIPs with random weights.

    Args:
        embedding_size: D.
        layers: blocks of the four layers.
        width: channels of the stem; res5 has 32 times as many.
        heads: of the attention pool.
        image_size: that the position embedding was learned at: (image_size / 32)² positions.
        text: sizes of the text tower; OpenAI's have `quick_gelu`.
    """
    from open_clip.modified_resnet import ModifiedResNet

    visual = ModifiedResNet(layers, embedding_size, heads, image_size, width)
    channels = (4 * width, 8 * width, 16 * width, 32 * width)
    return ResNetClip(visual, channels, embedding_size, text)


def tokenize(prompts: Sequence[str], context_length: int = CONTEXT) -> Tensor:
    """Return int64 [N, context_length]: byte-pair ids between begin and end, then zeros."""
    with without_the_rest("open_clip"):
        from open_clip.tokenizer import tokenize as tokenize_by_open_clip

    tokens: Tensor = tokenize_by_open_clip(list(prompts), context_length)
    return tokens


def tokens_in(prompts: Iterable[str]) -> tuple[int, ...]:
    """Return every token that occurs in the prompts, in order; good for `TextTower.token_ids`."""
    return tuple(sorted(set(tokenize(list(prompts)).flatten().tolist())))
