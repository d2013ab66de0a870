"""FrozenSeg (Chen et al. 2024, arXiv 2409.03525): two frozen encoders, a light trained decoder.

Read from top to bottom: an image becomes features, features become masks without names, and words
come in last. The vocabulary is an argument; the model does not keep it.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from frozenseg_label.model.clip_backbone import FrozenClip
from frozenseg_label.model.mask_classification import classify_masks
from frozenseg_label.model.pixel_decoder import PixelDecoder
from frozenseg_label.model.proposals import ClassifiedMasks, Features, MaskProposals
from frozenseg_label.model.sam import FrozenSam
from frozenseg_label.model.settings import (
    EnsembleSettings,
    EverythingSettings,
    InputSize,
    MergeSettings,
)
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.model.transformer_decoder import TransformerDecoder


class FrozenSeg(nn.Module):
    """Frozen CLIP, frozen SAM, and the decoder between them, which is all that is trained.

    Args:
        ensemble: how the opinions of CLIP and of the decoder are joined; None as published.
        merge: which masks become segments; None as published.
        everything: how SAM's own masks are made, where they are asked for; None as published.
    """

    def __init__(
        self,
        clip: FrozenClip,
        sam: FrozenSam,
        pixel_decoder: PixelDecoder,
        transformer_decoder: TransformerDecoder,
        input_size: InputSize,
        ensemble: EnsembleSettings | None = None,
        merge: MergeSettings | None = None,
        everything: EverythingSettings | None = None,
    ) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.sam = sam.requires_grad_(False)
        self.pixel_decoder = pixel_decoder
        self.transformer_decoder = transformer_decoder
        self.void_embedding = nn.Parameter(torch.randn(1, clip.embedding_size))
        self.input_size = input_size
        self.ensemble = ensemble or EnsembleSettings()
        self.merge = merge or MergeSettings()
        self.everything = everything or EverythingSettings()

    @torch.no_grad()
    def extract_features(self, pixels: Tensor, image_sizes: Sequence[tuple[int, int]]) -> Features:
        """Run both frozen encoders.

        Args:
            pixels: [B, 3, h, w] RGB, 0..255, padded right and bottom.
            image_sizes: height and width of each image without its padding.
        """
        pyramid, dense = self.clip.extract_features(pixels, image_sizes)
        return Features(pyramid, dense, self.sam.encode(pixels, image_sizes))

    def propose(self, features: Features) -> MaskProposals:
        """Turn features into Q masks, each with an embedding but no name."""
        pixels = self.pixel_decoder(features)
        decoded = self.transformer_decoder(pixels, features.sam)
        clip_embeddings, valid = self.clip.embed_masks(features.dense, decoded.mask_logits)
        return MaskProposals(decoded.mask_logits, decoded.class_embeddings, clip_embeddings, valid)

    def classify(self, proposals: MaskProposals, names: TextClassifier) -> ClassifiedMasks:
        """Give each mask its probabilities over the categories of one vocabulary."""
        return classify_masks(
            proposals,
            names,
            self.void_embedding,
            in_scale=self.transformer_decoder.logit_scale,
            out_scale=self.clip.logit_scale,
            settings=self.ensemble,
        )

    def train(self, mode: bool = True) -> Self:
        """Switch the decoder's mode; the encoders stay in evaluation mode, BatchNorm too."""
        super().train(mode)
        self.clip.eval()
        self.sam.eval()
        return self
