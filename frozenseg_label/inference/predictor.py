"""From prepared images to panoptic maps: the body of `annotate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.inference.given_image import GivenImage, pixels_of
from frozenseg_label.inference.image_proposals import ImageProposals, SamProposals
from frozenseg_label.inference.joined_tiles import JoinedTiles
from frozenseg_label.inference.mask_ensemble import (
    FurtherMasks,
    combine_semantic,
    join_masks,
    name_further_masks,
    sam_disagreement,
    sam_proposals,
)
from frozenseg_label.inference.memory import Memory
from frozenseg_label.inference.panoptic_merge import MergedMasks, panoptic_merge
from frozenseg_label.inference.preprocess import Framing, PreparedImage
from frozenseg_label.inference.segment_embeddings import image_embeddings, segment_embeddings
from frozenseg_label.inference.semantic_map import query_votes, semantic_map
from frozenseg_label.inference.tiling import Tiling, prepare, prepare_tile
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import ClassifiedMasks, Features, MaskProposals
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary

MOST_WHOLE = 2048  # pixels of the longer side of a tiled picture's labels as a whole


@dataclass(frozen=True)
class Prediction:
    """The labels of one image and its vectors.

    Attributes:
        panoptic: the panoptic map at the image's own size.
        embedding: of the whole image, float16 [D], unit length.
        segment_embeddings: likewise of each segment, by id.
        semantic: uint16 [H, W], index of the best category of each pixel; None unless asked for.
        proposals: what the labels were made of; None unless they shall be kept.
    """

    panoptic: PanopticMap
    embedding: NDArray[np.float16]
    segment_embeddings: dict[int, NDArray[np.float16]]
    semantic: NDArray[np.uint16] | None = None
    proposals: ImageProposals | None = None


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
        keep_proposals: hand the proposals on with the labels, SAM's for any later words too.
        clip: hash of the CLIP; vectors of one CLIP compare.
        memory: what a person corrected, in the classes of `vocabulary`; None: nothing.
        tiling: how large pictures are cut; None: every picture is seen as a whole only.
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
    keep_proposals: bool = False
    clip: str = ""
    memory: Memory | None = None
    tiling: Tiling | None = None

    @property
    def precision(self) -> str:
        """Return in what encoders and decoder compute, bf16 or fp32."""
        return "bf16" if self.bf16 else "fp32"

    def label(self, image: GivenImage) -> PanopticMap:
        """Label one picture, as `annotate` would.

        ImageError: the file cannot be read. ValueError: the array is no picture.

        Args:
            image: path of a file, a Pillow image, or uint8 [H, W, 3] RGB.

        Returns:
            The labels, at the picture's own size.
        """
        prepared = prepare(pixels_of(image), self.model.input_size, self.tiling)
        return self.predict([prepared])[0].panoptic

    @torch.inference_mode()
    def predict(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        """Label images of one padded size; those that come with their picture, in tiles too."""
        if any(image.picture is not None for image in images):
            return [
                self.predict([image])[0] if image.picture is None else self._in_tiles(image)
                for image in images
            ]
        pixels = torch.stack([image.pixels for image in images]).to(self.device)  # [B, 3, h, w]
        framings = [image.framing for image in images]
        with self._autocast():
            sizes = [framing.image for framing in framings]
            features = self.model.extract_features(pixels, sizes)
        return self.predict_from_features(features, framings)

    def predict_from_features(
        self, features: Features, framings: Sequence[Framing]
    ) -> list[Prediction]:
        """Label images that the encoders have seen; arguments as of `propose`."""
        return [self.name_proposals(proposals) for proposals in self.propose(features, framings)]

    @torch.inference_mode()
    def propose(self, features: Features, framings: Sequence[Framing]) -> list[ImageProposals]:
        """Return the masks of images that the encoders have seen, without names.

        Args:
            features: of all images, on `device`.
            framings: of the same images.
        """
        sam: Sequence[SamProposals | None] = [None] * len(framings)
        with self._autocast():
            proposals = self.model.propose(features)
            seen = image_embeddings(self.model.clip, features.dense, framings)
            if self._names_sam_masks or (self.sam_masks and self.keep_proposals):
                sam = sam_proposals(self.model, features, framings)
        return [
            ImageProposals(framing, _of_image(proposals, i), sam[i], seen[i])
            for i, framing in enumerate(framings)
        ]

    @torch.inference_mode()
    def name_proposals(self, proposals: ImageProposals) -> Prediction:
        """Turn what is known of an image without words into its labels; no encoder is needed."""
        queries, further = proposals.queries, None
        masks = self.model.classify(queries, self.names)
        if self.memory is not None:
            masks = self.memory.renamed(masks, queries)
        vectors, valid = queries.clip_embeddings[0], queries.valid[0]  # [Q, D], [Q]
        if proposals.sam is not None and self._names_sam_masks:
            further = name_further_masks(self.model, self.names, masks, proposals.sam, self.memory)
            chosen = further.chosen
            vectors = torch.cat([vectors, further.embeddings[chosen].to(vectors.dtype)])
            valid = torch.cat([valid, further.valid[chosen]])  # [Q + N]
        labels = self.merge_masks(masks, proposals.framing, further)
        of_segments = segment_embeddings(labels.parts, vectors, valid)
        return Prediction(
            labels.panoptic,
            proposals.embedding,
            of_segments,
            labels.semantic,
            proposals if self.keep_proposals else None,
        )

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

    def _in_tiles(self, image: PreparedImage) -> Prediction:
        """Label a picture: as a whole and small, then each tile of it, then joined."""
        framing, size = image.framing, self.model.input_size
        if image.picture is None or self.tiling is None:
            raise ValueError("a picture to be cut, and how, are needed")
        height, width = framing.original
        small = max(1, -(-max(height, width) // MOST_WHOLE))
        coarse = replace(framing, original=(-(-height // small), -(-width // small)))
        (whole,) = self.predict([PreparedImage(image.pixels, coarse)])
        joined = JoinedTiles(
            whole.panoptic, whole.segment_embeddings, (height, width), self.tiling.side(size)
        )
        semantic = np.zeros((height, width), np.uint16) if self.semantic else None
        picture = image.picture()  # [H, W, 3]
        for window in self.tiling.windows((height, width), size):
            (tile,) = self.predict([prepare_tile(picture[window.place], size)])
            joined.add(window, tile.panoptic, tile.segment_embeddings)
            if semantic is not None and tile.semantic is not None:
                own = window.own
                semantic[window.place][own] = tile.semantic[own]
        labels = joined.finish()
        return Prediction(labels.panoptic, whole.embedding, labels.embeddings, semantic)

    @property
    def _names_sam_masks(self) -> bool:
        """Tell whether SAM's masks are asked for and serve a name: only unseen ones need them."""
        return self.sam_masks and not bool(self.names.seen.all())

    def _autocast(self) -> torch.autocast:
        """Return the context in which encoders and decoder run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def _of_image(proposals: MaskProposals, index: int) -> MaskProposals:
    """Return one image's masks, with a batch dimension of one."""
    one = slice(index, index + 1)
    return MaskProposals(
        proposals.mask_logits[one].float(),
        proposals.class_embeddings[one],
        proposals.clip_embeddings[one],
        proposals.valid[one],
    )


def _with_sam_disagreement(merged: MergedMasks, distances: list[float]) -> PanopticMap:
    """Note in each segment how far its largest part is from SAM's nearest mask."""
    speakers = {id_: max(parts, key=parts.__getitem__) for id_, parts in merged.parts.items()}
    segments = tuple(
        replace(segment, sam_disagreement=distances[speakers[segment.id]])
        for segment in merged.panoptic.segments
    )
    return PanopticMap(merged.panoptic.ids, segments)
