"""A published FrozenSeg checkpoint becomes one of ours."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from frozenseg_label.errors import CheckpointError
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.checkpoint import fill, save_checkpoint
from frozenseg_label.model.checkpoint_info import TrainingCategory
from frozenseg_label.model.official_checkpoint import convert_official_state_dict
from frozenseg_label.model.pretrained import file_sha256, frozen_folder, named_file
from frozenseg_label.vocabulary import read_vocabulary

# The size of CLIP's embeddings tells the two published models apart.
BUILDER_OF_EMBEDDING_SIZE = {768: "convnext-large", 1024: "rn50x64"}
TRAINING_VOCABULARY = "coco-panoptic-133"  # of both; with the names that they were trained on


def convert_published(source: Path, output: Path | None = None) -> Path:
    """Convert a published `.pth`; the frozen encoders go to the cache, once for all checkpoints that share them.

    Args:
        output: the checkpoint to write; by default the file that the model's name stands for.
    """
    state = read_published(source)
    void = state.get("void_embedding.weight")
    builder = BUILDER_OF_EMBEDDING_SIZE.get(void.shape[-1]) if void is not None else None
    if builder is None:
        raise CheckpointError(
            f"{source} is no published FrozenSeg checkpoint (ConvNeXt-L or RN50x64): its void embedding is missing or "
            f"of another size; check that the right file was downloaded"
        )
    model = BUILDERS[builder]()
    fill(model, convert_official_state_dict(state), source)
    categories = [
        TrainingCategory(names=category.names, is_thing=category.is_thing)
        for category in read_vocabulary(TRAINING_VOCABULARY).categories
    ]
    target = output or named_file(builder)
    origin = f"published FrozenSeg checkpoint, SHA-256 {file_sha256(source)}"
    save_checkpoint(target, model, builder, categories, frozen_folder=frozen_folder(), origin=origin)
    return target


def read_published(path: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a detectron2 checkpoint without running any code that it may hold."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{path} cannot be read as a PyTorch checkpoint of plain tensors ({reason}); download it again"
        ) from error
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} has no tensors under 'model', as published checkpoints have")
    return state
