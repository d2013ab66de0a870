"""The transformer decoder: queries look at the decoded pixels and become masks.

Mask2Former's decoder (Cheng et al. 2021, arXiv 2112.01527) with FrozenSeg's two injectors for SAM:
the feature injector informs the coarsest tokens, the query injector the queries (Chen et al. 2024,
arXiv 2409.03525, section 3.2).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.model.attention import MLP, AttentionBlock, FeedForward
from frozenseg_label.model.mask_pooling import pool_masks
from frozenseg_label.model.pixel_decoder import DecodedPixels
from frozenseg_label.model.position_encoding import sine_position_encoding

LEVELS = 3  # layer i looks at level i mod 3


@dataclass(frozen=True)
class DecoderOutput:
    """Masks without names.

    Attributes:
        mask_logits: [B, Q, h, w] at the size of the mask features; > 0 is inside.
        class_embeddings: [B, Q, D] in CLIP's space, not normalised.
        query_embeddings: [B, Q, C], of which the class embeddings are made.
    """

    mask_logits: Tensor
    class_embeddings: Tensor
    query_embeddings: Tensor


@dataclass(frozen=True)
class Tokens:
    """A map as keys and values.

    Attributes:
        values: [B, N, C], row by row.
        positions: [N, C].
    """

    values: Tensor
    positions: Tensor

    @property
    def keys(self) -> Tensor:
        """Return the values with their positions, [B, N, C]."""
        return self.values + self.positions


class TransformerDecoder(nn.Module):
    """Learned queries that look at CLIP's levels in turn, each inside its mask of the layer before.

    Args:
        channels: C, of the pixel decoder and, where queries are injected, of SAM's embedding.
        embedding_size: D of CLIP's space.
        queries: Q.
        layers: the first sees the coarsest level.
        inject_queries: SAM's embedding under a mask joins its query after every third layer.
        inject_features: the coarsest tokens look at SAM's tokens before a layer uses them.
    """

    def __init__(
        self,
        *,
        channels: int,
        embedding_size: int,
        queries: int,
        layers: int,
        heads: int,
        feedforward: int,
        inject_queries: bool = True,
        inject_features: bool = True,
    ) -> None:
        super().__init__()
        self.inject_queries = inject_queries
        self.query_features = nn.Parameter(torch.randn(queries, channels))
        self.query_positions = nn.Parameter(torch.randn(queries, channels))
        self.level_embedding = nn.Parameter(torch.randn(LEVELS, channels))
        self.layers = nn.ModuleList(
            DecoderLayer(channels, heads, feedforward, inject_features and i % LEVELS == 0)
            for i in range(layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.mask_embedding = MLP(channels, channels, channels, channels)
        self.pooled_projection = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, channels)
        )
        self.class_embedding = MLP(channels, channels, channels, embedding_size)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # CLIP's own beginning

    def forward(self, pixels: DecodedPixels, sam_embedding: Tensor) -> DecoderOutput:
        """Return the masks after the last layer; those of earlier layers are not computed.

        Args:
            pixels: from the pixel decoder.
            sam_embedding: [B, C, h, w] as SAM's encoder gives it.
        """
        *_, queries = self._refine_queries(pixels, sam_embedding)
        return self._predict(queries, pixels.mask_features)

    def forward_all_layers(
        self, pixels: DecodedPixels, sam_embedding: Tensor
    ) -> list[DecoderOutput]:
        """Return the masks before the first layer and after every layer, as training needs them."""
        states = self._refine_queries(pixels, sam_embedding)
        return [self._predict(queries, pixels.mask_features) for queries in states]

    def _predict(self, queries: Tensor, mask_features: Tensor) -> DecoderOutput:
        """Turn normed queries [B, Q, C] into masks and class embeddings."""
        mask_logits = _mask_logits(self.mask_embedding(queries), mask_features)
        pooled = self.pooled_projection(pool_masks(mask_features, mask_logits))
        queries = queries + pooled
        classes = self.class_embedding(queries)
        return DecoderOutput(mask_logits.float(), classes.float(), queries.float())

    def _refine_queries(self, pixels: DecodedPixels, sam_embedding: Tensor) -> Iterator[Tensor]:
        """Yield the normed queries [B, Q, C] before the first layer and after every layer."""
        if self.inject_queries and sam_embedding.shape[1] != self.query_features.shape[1]:
            raise ValueError(
                "to inject queries, the SAM embedding must have the decoder's "
                f"{self.query_features.shape[1]} channels, got {sam_embedding.shape[1]}"
            )
        levels = [
            self._tokens(x, level)
            for x, level in zip(pixels.levels, self.level_embedding, strict=True)
        ]
        coarsest = pixels.levels[0].shape[-2:]
        # SAM's square map meets CLIP's oblong one; for square training crops nothing is resized.
        sam_tokens = self._tokens(_resize(pixels.sam, coarsest), self.level_embedding[0])
        # Resizing is linear: masks at another size are products with mask features resized once.
        level_features = [_resize(pixels.mask_features, x.shape[-2:]) for x in pixels.levels]
        sam_features = _resize(pixels.mask_features, sam_embedding.shape[-2:])

        queries = self.query_features.expand(len(sam_embedding), -1, -1)
        normed = self.norm(queries)
        yield normed
        for i, layer in enumerate(self.layers):
            level = i % LEVELS
            allowed = _allowed(self._coarse_masks(normed, level_features[level]))
            queries = layer(queries, self.query_positions, levels[level], sam_tokens, allowed)
            normed = self.norm(queries)
            yield normed
            if self.inject_queries and level == LEVELS - 1 and i + 1 < len(self.layers):
                # After the layer's own masks: this changes only the next layers.
                masks = self._coarse_masks(normed, sam_features)
                queries = queries + self.pooled_projection(pool_masks(sam_embedding, masks))

    def _tokens(self, x: Tensor, level_embedding: Tensor) -> Tokens:
        """Return a map [B, C, h, w] as tokens."""
        positions = sine_position_encoding((x.shape[-2], x.shape[-1]), x.shape[1], x.device)
        return Tokens(x.flatten(2).transpose(1, 2) + level_embedding, positions)

    @torch.no_grad()  # only the sign of these masks is used
    def _coarse_masks(self, normed: Tensor, mask_features: Tensor) -> Tensor:
        """Return mask logits at the size of the features."""
        return _mask_logits(self.mask_embedding(normed), mask_features)


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward network, in Mask2Former's order.

    Args:
        inject_features: whether the layer's tokens look at SAM's first.
    """

    def __init__(self, channels: int, heads: int, feedforward: int, inject_features: bool) -> None:
        super().__init__()
        self.feature_injector = AttentionBlock(channels, heads) if inject_features else None
        self.cross_attention = AttentionBlock(channels, heads)
        self.self_attention = AttentionBlock(channels, heads)
        self.feed_forward = FeedForward(channels, feedforward)

    def forward(
        self,
        queries: Tensor,
        positions: Tensor,
        tokens: Tokens,
        sam_tokens: Tokens,
        allowed: Tensor,
    ) -> Tensor:
        """Return the queries [B, Q, C], informed.

        Args:
            queries: [B, Q, C].
            positions: [Q, C], learned, of the queries.
            tokens: of the layer's level.
            sam_tokens: SAM's, on the grid of the coarsest level.
            allowed: bool [B, Q, N], where a query may look among the tokens.
        """
        keys, values = tokens.keys, tokens.values
        if self.feature_injector is not None:
            # Upstream gives these keys no positions; the weights were trained so.
            keys = values = self.feature_injector(
                values, tokens.positions, sam_tokens.keys, sam_tokens.values
            )
        queries = self.cross_attention(queries, positions, keys, values, allowed)
        queries = self.self_attention(queries, positions, queries + positions, queries)
        result: Tensor = self.feed_forward(queries)
        return result


def _mask_logits(mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
    """Return [B, Q, h, w], from mask embeddings [B, Q, C] and mask features [B, C, h, w]."""
    logits = mask_embeddings @ mask_features.flatten(2)
    return logits.view(*logits.shape[:2], *mask_features.shape[-2:])


def _allowed(mask_logits: Tensor) -> Tensor:
    """Return bool [B, Q, N]: look inside your mask, and everywhere where it is empty."""
    inside = mask_logits.flatten(2) >= 0  # sigmoid >= 0.5
    return inside | ~inside.any(dim=-1, keepdim=True)


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    """Return a map at another size, bilinear."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
