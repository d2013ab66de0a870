"""From prepared images to panoptic maps: the body of `annotate`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.mask_ensemble import (
    as_proposals,
    choose_extra,
    combine_semantic,
    everything_masks,
    join_masks,
    sam_disagreement,
)
from frozenseg_label.inference.panoptic_merge import MergedMasks, merge_masks
from frozenseg_label.inference.preprocess import PreparedImage
from frozenseg_label.inference.segment_embeddings import image_embeddings, segment_embeddings
from frozenseg_label.inference.semantic_map import query_votes, semantic_map
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.mask_classification import classify_by_clip
from frozenseg_label.model.proposals import ClassifiedMasks, Features, MaskProposals
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        panoptic: the panoptic map at the image's own size.
        embedding: of the whole image, float16 [D], unit length.
        segment_embeddings: likewise of each segment, by id.
        semantic: uint16 [H, W], index of the best category of each pixel; None unless asked for.
    """

    panoptic: PanopticMap
    embedding: NDArray[np.float16]
    segment_embeddings: dict[int, NDArray[np.float16]]
    semantic: NDArray[np.uint16] | None = None


@dataclass(frozen=True)
class _SamMasks:
    """SAM's own masks of one image: logits [M, m, m], and CLIP's vectors [M, D] of them."""

    logits: Tensor
    embeddings: Tensor
    valid: Tensor  # [M]
    probs: Tensor  # [M, K + 1], by CLIP alone


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
        clip: hash of the CLIP; vectors of one CLIP compare.
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
    clip: str = ""

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
            sizes = [image.image_size for image in images]
            seen = image_embeddings(self.model.clip, features.dense, images[0].padded_size, sizes)
        masks = self.model.classify(proposals, self.names)
        # SAM's masks serve unseen names alone.
        wanted = self.sam_masks and not bool(self.names.seen.all())
        sam = self._everything(features, images) if wanted else [None] * len(images)
        return [
            self._label(
                _of_image(masks, i), _vectors_of_image(proposals, i), sam[i], image, seen[i]
            )
            for i, image in enumerate(images)
        ]

    def _label(
        self,
        masks: ClassifiedMasks,
        vectors: tuple[Tensor, Tensor],
        sam: _SamMasks | None,
        image: PreparedImage,
        embedding: NDArray[np.float16],
    ) -> Prediction:
        """Paint one image's masks, and SAM's beside them where there are any."""
        sizes = image.padded_size, image.image_size, image.original_size
        votes, distances = [query_votes(masks)], None
        if sam is not None:
            settings, seen = self.model.everything, self.names.seen
            votes = list(combine_semantic(masks, sam.logits, sam.probs, seen, settings))
            distances = sam_disagreement(masks, sam.logits)  # [Q]
            extra = choose_extra(masks, sam.logits, sam.probs, seen, settings)
            masks = join_masks(masks, as_proposals(sam.logits[extra], sam.probs[extra], masks))
            distances = torch.cat([distances, distances.new_zeros(len(extra))])
            vectors = (
                torch.cat([vectors[0], sam.embeddings[extra].to(vectors[0].dtype)]),
                torch.cat([vectors[1], sam.valid[extra]]),
            )
        merged = merge_masks(
            masks,
            *sizes,
            self.vocabulary,
            source=self.source,
            min_score=self.min_score,
            settings=self.model.merge,
        )
        panoptic = merged.panoptic
        if distances is not None:
            panoptic = _with_sam_disagreement(merged, distances.tolist())
        of_segments = segment_embeddings(merged.parts, *vectors)
        semantic = semantic_map(votes, *sizes) if self.semantic else None
        return Prediction(panoptic, embedding, of_segments, semantic)

    def _everything(self, features: Features, images: Sequence[PreparedImage]) -> list[_SamMasks]:
        """Return for each image SAM's masks and what CLIP alone calls them."""
        sizes = [image.image_size for image in images]
        found = []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            everything = everything_masks(
                self.model.sam, features.sam, images[0].padded_size, sizes, self.model.everything
            )
            for masks, dense in zip(everything, features.dense, strict=True):
                found.append((masks, *self.model.clip.embed_masks(dense[None], masks[None])))
        void, scale = self.model.void_embedding, self.model.clip.logit_scale
        return [
            _SamMasks(
                logits=masks,
                embeddings=embeddings[0],
                valid=valid[0],
                probs=classify_by_clip(embeddings, self.names, void, scale)[0],
            )
            for masks, embeddings, valid in found
        ]


def _of_image(masks: ClassifiedMasks, index: int) -> ClassifiedMasks:
    """Return one image's masks, with a batch dimension of one."""
    one = slice(index, index + 1)
    return ClassifiedMasks(
        masks.mask_logits[one].float(), masks.class_probs[one], masks.disagreement[one]
    )


def _vectors_of_image(proposals: MaskProposals, index: int) -> tuple[Tensor, Tensor]:
    """Return CLIP's vectors [Q, D] of one image's masks, and whether they mean anything [Q]."""
    return proposals.clip_embeddings[index], proposals.valid[index]


def _with_sam_disagreement(merged: MergedMasks, distances: list[float]) -> PanopticMap:
    """Let each segment say how far its largest part is from SAM's nearest mask."""
    speakers = {id_: max(parts, key=parts.__getitem__) for id_, parts in merged.parts.items()}
    segments = tuple(
        replace(segment, sam_disagreement=distances[speakers[segment.id]])
        for segment in merged.panoptic.segments
    )
    return PanopticMap(merged.panoptic.ids, segments)
