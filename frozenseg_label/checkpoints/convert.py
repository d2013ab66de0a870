"""From a published FrozenSeg checkpoint to a checkpoint of this project."""

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import build_filled, save_checkpoint
from frozenseg_label.checkpoints.downloads import REMEDY, file_sha256, refuse_other_files
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.checkpoints.named_weights import frozen_folder, named_file
from frozenseg_label.checkpoints.official_keys import convert_official_state_dict
from frozenseg_label.checkpoints.tensor_file import refuse_damaged_numbers
from frozenseg_label.errors import CheckpointError
from frozenseg_label.vocabulary_files import read_vocabulary

# The size of CLIP's embeddings tells the two published models apart.
BUILDER_OF_EMBEDDING_SIZE = {768: "convnext-large", 1024: "rn50x64"}
TRAINING_VOCABULARY = "coco-panoptic-133"  # of both; with the names that they were trained on

# Errors of torch.load when bytes are missing or wrong.
UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def convert_published(source: Path, output: Path | None = None) -> Path:
    """Convert a published `.pth`; its frozen encoders go to the cache, for all that share them.

    Args:
        source: the published file.
        output: the checkpoint to write; by default the file of the model's name in the cache.
    """
    state = read_published(source)
    converted = convert_official_state_dict(state, str(source))
    builder = BUILDER_OF_EMBEDDING_SIZE.get(_embedding_size(converted))
    if builder is None:
        raise CheckpointError(
            f"{source} is no published FrozenSeg checkpoint: void_embedding.weight, whose size "
            f"tells which model it is, is missing or of another size; {REMEDY}"
        )
    refuse_damaged_numbers(converted, str(source))
    model = build_filled(builder, converted, str(source))
    categories = [
        TrainingCategory(names=category.names, is_thing=category.is_thing)
        for category in read_vocabulary(TRAINING_VOCABULARY).categories
    ]
    target = output or named_file(builder)
    origin = f"published FrozenSeg checkpoint, SHA-256 {file_sha256(source)}"
    save_checkpoint(
        target, model, builder, categories, frozen_folder=frozen_folder(), origin=origin
    )
    return target


def read_published(path: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a detectron2 checkpoint without running any code that it may hold."""
    refuse_other_files(path)
    try:
        # Tensors are mapped, not copied, except from files older than PyTorch 1.6.
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except UNREADABLE as error:
        raise CheckpointError(f"{path} {_why_unreadable(error)}") from error
    if not isinstance(content, dict) or "model" not in content:
        raise CheckpointError(
            f"{path} has no 'model' entry, in which published checkpoints keep their tensors; "
            f"{REMEDY}"
        )
    state = content["model"]
    if not isinstance(state, dict) or not all(map(_is_named_tensor, state.items())):
        raise CheckpointError(f"{path} has other things than tensors under 'model'; {REMEDY}")
    return state


def _is_named_tensor(item: tuple[object, object]) -> bool:
    """Tell whether an entry is a tensor with a name."""
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _embedding_size(converted: Mapping[str, Tensor]) -> int:
    """Return D of the model whose tensors these are; 0 where they do not say."""
    void = converted.get("void_embedding")  # [1, D]
    return 0 if void is None else void.numel()


def _why_unreadable(error: Exception) -> str:
    """Say why in words of our own: PyTorch's message advises to load the file anyway."""
    named = re.search(r"GLOBAL (\S+)", str(error))
    if named is not None:
        return (
            f"holds more than tensors ({named[1]}), which could run code when opened, so it was "
            f"left unopened; {REMEDY}"
        )
    return "is damaged or cut off; download it again"
