"""The weights that training changes: loaded, copied, mixed with the starting ones, and saved.

Fine-tuned weights lie in the same basin of the loss as those that they started from, and so do
means of both: they keep much of what is new and forget little (WiSE-FT, Wortsman et al. 2022, arXiv
2109.01903).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import (
    CheckpointInfo,
    TrainingCategory,
    is_frozen,
    read_checkpoint_info,
)
from frozenseg_label.checkpoints.named_weights import frozen_folder
from frozenseg_label.checkpoints.tensor_file import read_tensors
from frozenseg_label.errors import CheckpointError, TrainingError
from frozenseg_label.model.frozenseg import FrozenSeg


def trained_weights(model: FrozenSeg) -> dict[str, Tensor]:
    """Return the weights that training changes: all but those of the two frozen encoders."""
    return {k: v for k, v in model.state_dict().items() if not is_frozen(k)}


def load_trained_weights(path: Path, model: FrozenSeg) -> None:
    """Fill the trained part of a model from a file; the frozen encoders do not change."""
    frozen = {k: v for k, v in model.state_dict().items() if is_frozen(k)}
    model.load_state_dict(frozen | read_tensors(path))


def is_kept(checkpoint: Path) -> bool:
    """Return whether learnt weights are in their file; TrainingError if it is damaged."""
    if not checkpoint.exists():
        return False
    try:
        read_checkpoint_info(checkpoint)
    except CheckpointError as error:
        raise TrainingError(
            f"{checkpoint} is damaged ({error.__cause__ or error}); restore it, or remove it and "
            "give --resume: then the best of later weights replace it"
        ) from error
    return True


def refuse_lost(checkpoint: Path, report: Path) -> None:
    """Raise TrainingError where a training is finished, but its best weights are gone.

    Args:
        report: of the training.
    """
    if not is_kept(checkpoint):
        raise TrainingError(
            f"{checkpoint} is lost; restore it, or remove {report} and give --resume: then the "
            "last weights replace it"
        )


def copy_of_trained_weights(model: FrozenSeg) -> dict[str, Tensor]:
    """Return a copy of the weights that training changes."""
    return {name: value.detach().clone() for name, value in trained_weights(model).items()}


@contextmanager
def blended(model: FrozenSeg, start: Mapping[str, Tensor], share: float) -> Iterator[None]:
    """Give the model a mean of its weights and the starting ones as long as the block runs.

    Args:
        start: weights of `copy_of_trained_weights`.
        share: share of the starting weights, 0 (the model does not change) to 1.
    """
    if share == 0:
        yield
        return
    learnt = copy_of_trained_weights(model)
    _fill(model, {name: torch.lerp(value, start[name], share) for name, value in learnt.items()})
    try:
        yield
    finally:
        _fill(model, learnt)


def save_learnt(
    path: Path, model: FrozenSeg, start: CheckpointInfo, categories: Sequence[TrainingCategory]
) -> None:
    """Save a checkpoint of a trained model.

    Args:
        start: header of the checkpoint that the training started from.
        categories: all that the weights were trained on.
    """
    info = save_checkpoint(
        path,
        model,
        start.builder,
        categories,
        frozen_folder=None if start.frozen_inside else frozen_folder(),
        origin=f"fine-tuned from {start.fingerprint[:12]} ({start.origin})",
        made_for=start.made_for,  # the encoders are the same
    )
    if (info.clip_hash, info.sam_hash) != (start.clip_hash, start.sam_hash):
        raise TrainingError(f"{path}: the frozen encoders have changed; this is a bug, report it")


@torch.no_grad()
def _fill(model: FrozenSeg, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the trained part of a model."""
    for name, value in trained_weights(model).items():
        value.copy_(weights[name])
