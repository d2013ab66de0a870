"""What is known of one image before any word: the value between the encoders and the names.

Whoever keeps it can name the image anew, with other words, and needs no encoder for that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.proposals import MaskProposals


@dataclass(frozen=True)
class SamProposals:
    """SAM's own masks of one image, without names; M may be 0.

    Attributes:
        logits: float32 [M, m, m] over the padded image.
        embeddings: CLIP's vectors of them, [M, D], not normalised.
        valid: bool [M], whether the vectors are meaningful.
    """

    logits: Tensor
    embeddings: Tensor
    valid: Tensor


@dataclass(frozen=True)
class ImageProposals:
    """The masks of one image and all that CLIP and the decoder say of them without words.

    Attributes:
        framing: of the image.
        queries: the decoder's masks, with a batch dimension of one; logits are float32.
        sam: SAM's own masks; None where they were not asked for.
        embedding: CLIP's vector of the whole image, float16 [D], unit length.
    """

    framing: Framing
    queries: MaskProposals
    sam: SamProposals | None
    embedding: NDArray[np.float16]
