"""The values that pass between the three methods of FrozenSeg.

Letters: B images, Q mask proposals, K categories, D size of the embedding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """The output of the two frozen encoders for a batch of equally padded images.

    Attributes:
        pyramid: CLIP's res2, res3, res4, res5, each [B, C_i, h_i, w_i].
        dense: CLIP's last map before pooling, [B, C_4, h, w]; masks are pooled on it.
        sam: SAM's image embedding [B, C_sam, h_sam, w_sam].
    """

    pyramid: tuple[Tensor, Tensor, Tensor, Tensor]
    dense: Tensor
    sam: Tensor

    def to(self, target: torch.device | torch.dtype) -> "Features":
        """Return the same on another device or of another type."""
        one, two, three, four = (level.to(target) for level in self.pyramid)
        return Features((one, two, three, four), self.dense.to(target), self.sam.to(target))


@dataclass(frozen=True)
class MaskProposals:
    """Masks without names.

    Attributes:
        mask_logits: [B, Q, h, w] at a quarter of the padded input size; > 0 is inside.
        class_embeddings: [B, Q, D] from the decoder, not normalised.
        clip_embeddings: [B, Q, D] CLIP's features pooled over each mask and brought into CLIP
            space, not normalised.
        valid: bool [B, Q]; False where `clip_embeddings` is meaningless (ResNet CLIP, mask without
            a position).
    """

    mask_logits: Tensor
    class_embeddings: Tensor
    clip_embeddings: Tensor
    valid: Tensor


@dataclass(frozen=True)
class ClassifiedMasks:
    """Masks with a distribution over the categories of one vocabulary.

    Attributes:
        mask_logits: [B, Q, h, w], as in `MaskProposals`.
        class_probs: [B, Q, K + 1]; the last column is void; rows sum to 1.
        disagreement: [B, Q] in 0..1, total variation distance of the two branches' distributions
            over the categories (void left out); 0 where the CLIP branch has no say.
    """

    mask_logits: Tensor
    class_probs: Tensor
    disagreement: Tensor
