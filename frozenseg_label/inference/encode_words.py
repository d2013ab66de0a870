"""What words mean to the CLIP of some weights."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.model.checkpoint import load_checkpoint
from frozenseg_label.model.pretrained import find_weights, frozen_folder
from frozenseg_label.model.text_classifier import encode_names


def encode_words(words: str, weights: str | Path) -> tuple[NDArray[np.float32], str]:
    """The unit vector float32 [D] of words, and the hash of the CLIP that made it.

    Args:
        weights: a name, or a checkpoint of ours.
    """
    model, info = load_checkpoint(find_weights(weights), frozen_folder())
    vector: NDArray[np.float32] = encode_names(model.clip, [words])[0].numpy()
    return vector, info.clip_hash
