"""From prepared images to panoptic maps: the body of `annotate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.mask_ensemble import (
    FurtherMasks,
    combine_semantic,
    everything_masks,
    join_masks,
    name_further_masks,
    sam_disagreement,
)
from frozenseg_label.inference.panoptic_merge import MergedMasks, panoptic_merge
from frozenseg_label.inference.preprocess import Framing, PreparedImage
from frozenseg_label.inference.segment_embeddings import image_embeddings, segment_embeddings
from frozenseg_label.inference.semantic_map import query_votes, semantic_map
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import ClassifiedMasks, Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prediction:
    """The labels of one image and its vectors.

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
class ImageLabels:
    """The labels of one image, without vectors.

    Attributes:
        panoptic: the panoptic map at the image's own size.
        parts: by segment id, which masks it is made of: place among the masks -> pixels.
        semantic: as in `Prediction`.
    """

    panoptic: PanopticMap
    parts: Mapping[int, Mapping[int, int]]
    semantic: NDArray[np.uint16] | None


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
        """Label images of one padded size."""
        pixels = torch.stack([image.pixels for image in images]).to(self.device)  # [B, 3, h, w]
        framings = [image.framing for image in images]
        with self._autocast():
            sizes = [framing.image for framing in framings]
            features = self.model.extract_features(pixels, sizes)
        return self.predict_from_features(features, framings)

    @torch.inference_mode()
    def predict_from_features(
        self, features: Features, framings: Sequence[Framing]
    ) -> list[Prediction]:
        """Label images that the encoders have seen.

        Args:
            features: of all images, on `device`.
            framings: of the same images.
        """
        with self._autocast():
            proposals = self.model.propose(features)
            seen = image_embeddings(self.model.clip, features.dense, framings)
        classified = self.model.classify(proposals, self.names)
        everything = self._everything_masks(features, framings)
        predictions = []
        for i, framing in enumerate(framings):
            masks, further = _of_image(classified, i), None
            vectors, valid = proposals.clip_embeddings[i], proposals.valid[i]  # [Q, D], [Q]
            if everything is not None:
                dense = features.dense[i : i + 1]
                with self._autocast():
                    further = name_further_masks(
                        self.model, self.names, masks, dense, everything[i]
                    )
                chosen = further.chosen
                vectors = torch.cat([vectors, further.embeddings[chosen].to(vectors.dtype)])
                valid = torch.cat([valid, further.valid[chosen]])  # [Q + N]
            labels = self.merge_masks(masks, framing, further)
            of_segments = segment_embeddings(labels.parts, vectors, valid)
            predictions.append(Prediction(labels.panoptic, seen[i], of_segments, labels.semantic))
        return predictions

    def merge_masks(
        self, masks: ClassifiedMasks, framing: Framing, further: FurtherMasks | None = None
    ) -> ImageLabels:
        """Turn the classified masks of one image into its labels.

        FloatingPointError: the model's output is no number; there would be no labels.

        Args:
            masks: of the queries.
            framing: of the image.
            further: masks beside them: they vote in the semantic map, and the chosen ones become
                segments too.
        """
        votes, joined = [query_votes(masks)], masks
        if further is not None:
            votes = [*combine_semantic(masks, further, self.names.seen, self.model.everything)]
            joined = join_masks(masks, further)
        # One NaN or infinity makes the sum one, and a sum reads the masks only once.
        if not (joined.class_probs.sum() + joined.mask_logits.sum()).isfinite():
            raise FloatingPointError(
                "the model's output for this image is no number (NaN or infinite); try --precision "
                "fp32, and check the weights with `frozenseg-label weights verify`"
            )
        merged = panoptic_merge(
            joined,
            framing,
            self.vocabulary,
            source=self.source,
            min_score=self.min_score,
            settings=self.model.merge,
        )
        panoptic = merged.panoptic
        if further is not None:
            panoptic = _with_sam_disagreement(merged, sam_disagreement(masks, further).tolist())
        semantic = semantic_map(votes, framing) if self.semantic else None
        return ImageLabels(panoptic, merged.parts, semantic)

    def _everything_masks(
        self, features: Features, framings: Sequence[Framing]
    ) -> list[Tensor] | None:
        """Return SAM's masks of each image; None where they are not asked for or serve no name."""
        if not self.sam_masks or bool(self.names.seen.all()):  # only unseen names need them
            return None
        with self._autocast():
            return everything_masks(self.model.sam, features.sam, framings, self.model.everything)

    def _autocast(self) -> torch.autocast:
        """Return the context in which encoders and decoder run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def _of_image(masks: ClassifiedMasks, index: int) -> ClassifiedMasks:
    """Return one image's masks, with a batch dimension of one."""
    one = slice(index, index + 1)
    return ClassifiedMasks(
        masks.mask_logits[one].float(), masks.class_probs[one], masks.disagreement[one]
    )


def _with_sam_disagreement(merged: MergedMasks, distances: list[float]) -> PanopticMap:
    """Note in each segment how far its largest part is from SAM's nearest mask."""
    speakers = {id_: max(parts, key=parts.__getitem__) for id_, parts in merged.parts.items()}
    segments = tuple(
        replace(segment, sam_disagreement=distances[speakers[segment.id]])
        for segment in merged.panoptic.segments
    )
    return PanopticMap(merged.panoptic.ids, segments)
