"""What a stage leaves for the next one: weights in float16, and how far its training had come."""

from pathlib import Path

import torch
from torch import nn

from frozenseg_label.model.checkpoint_info import read_header
from frozenseg_label.model.tensor_file import read_tensors, write_tensors
from frozenseg_label.model.whole_file import whole_file

ITERATIONS = "iterations"


def write_weights(path: Path, module: nn.Module, iterations: int) -> None:
    """Write a module's weights, whole or not at all."""
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in module.state_dict().items()
    }
    write_tensors(path, weights, {ITERATIONS: str(iterations)})


def write_state(path: Path, state: dict[str, object]) -> None:
    """Write all that a training goes on from, whole or not at all."""
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def read_weights(path: Path, module: nn.Module) -> int:
    """Load weights into a module; returns the iterations that they stand for."""
    module.load_state_dict(read_tensors(path))
    return int(read_header(path).get(ITERATIONS, 0))


def take_up(state_file: Path, start: Path | None, module: nn.Module) -> tuple[dict | None, int]:
    """Return the state of a stopped training, else load the weights that it shall begin with.

    Args:
        state_file: of the training's folder.
        start: weights of an earlier training, such as the committed ones; its schedule goes on
            at their iteration, with the optimizer's memory empty.
        module: takes the weights.

    Returns:
        The state, None where there is none; iterations done.
    """
    if state_file.exists():
        state = torch.load(state_file, map_location="cpu", weights_only=True)
        return state, int(state[ITERATIONS])
    return None, 0 if start is None else read_weights(start, module)
