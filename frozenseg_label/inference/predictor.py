"""From prepared images to panoptic maps: the body of `annotate`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.mask_ensemble import (
    combine_semantic,
    everything_masks,
    extra_proposals,
    join_masks,
)
from frozenseg_label.inference.panoptic_merge import panoptic_merge
from frozenseg_label.inference.preprocess import PreparedImage
from frozenseg_label.inference.semantic_map import query_votes, semantic_map
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import classify_by_clip
from frozenseg_label.model.proposals import ClassifiedMasks, Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        panoptic: the panoptic map at the image's own size.
        semantic: uint16 [H, W], index of the best category of each pixel; None unless asked for.
    """

    panoptic: PanopticMap
    semantic: NDArray[np.uint16] | None = None


@dataclass(frozen=True)
class Predictor:
    """A model with a vocabulary, on a device.

    Attributes:
        model: in evaluation mode, on `device`.
        names: the text classifier of `vocabulary`, on `device`.
        source: what every segment carries as its source, `model:<hash>`.
        bf16: run encoders and decoder in bfloat16; names and maps stay in float32.
        min_score: less probable segments are left out, 0..1.
        sam_masks: add SAM's masks for unseen categories.
        semantic: make semantic maps too.
    """

    model: FrozenSeg
    names: TextClassifier
    vocabulary: Vocabulary
    source: str
    device: torch.device
    bf16: bool = False
    min_score: float = 0.0
    sam_masks: bool = False
    semantic: bool = False

    @torch.inference_mode()
    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Label images of one padded shape."""
        pixels = torch.stack([image.pixels for image in images]).to(self.device)  # [B, 3, h, w]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.model.extract_features(pixels, [image.image_size for image in images])
        return self.predict_from_features(features, images)

    @torch.inference_mode()
    def predict_from_features(
        self, features: Features, images: Sequence[PreparedImage]
    ) -> list[Prediction]:
        """Label images that the encoders have seen.

        Args:
            features: of all images, on `device`.
            images: only their sizes are asked for.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            proposals = self.model.propose(features)
        masks = self.model.classify(proposals, self.names)
        # SAM's masks serve unseen names alone.
        wanted = self.sam_masks and not bool(self.names.seen.all())
        sam = self._everything(features, images) if wanted else [None] * len(images)
        return [self._label(_of_image(masks, i), sam[i], image) for i, image in enumerate(images)]

    def _label(
        self, masks: ClassifiedMasks, sam: tuple[Tensor, Tensor] | None, image: PreparedImage
    ) -> Prediction:
        """Paint one image's masks, and SAM's beside them where there are any."""
        sizes = image.padded_size, image.image_size, image.original_size
        votes = [query_votes(masks)]
        if sam is not None:
            settings, seen = self.model.everything, self.names.seen
            votes = list(combine_semantic(masks, *sam, seen, settings))
            masks = join_masks(masks, extra_proposals(masks, *sam, seen, settings))
        panoptic = panoptic_merge(
            masks, *sizes, self.vocabulary, source=self.source, min_score=self.min_score
        )
        return Prediction(panoptic, semantic_map(votes, *sizes) if self.semantic else None)

    def _everything(
        self, features: Features, images: Sequence[PreparedImage]
    ) -> list[tuple[Tensor, Tensor]]:
        """Return for each image SAM's masks [M, m, m] and what CLIP alone calls them [M, K + 1]."""
        sizes = [image.image_size for image in images]
        found = []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            everything = everything_masks(
                self.model.sam, features.sam, images[0].padded_size, sizes, self.model.everything
            )
            for masks, dense in zip(everything, features.dense, strict=True):
                embeddings, _ = self.model.clip.embed_masks(dense[None], masks[None])
                found.append((masks, embeddings))
        void, scale = self.model.void_embedding, self.model.clip.logit_scale
        return [
            (masks, classify_by_clip(embeddings, self.names, void, scale)[0])
            for masks, embeddings in found
        ]


def _of_image(masks: ClassifiedMasks, index: int) -> ClassifiedMasks:
    """Return one image's masks, with a batch dimension of one."""
    one = slice(index, index + 1)
    return ClassifiedMasks(
        masks.mask_logits[one].float(), masks.class_probs[one], masks.disagreement[one]
    )
