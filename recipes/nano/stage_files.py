"""What a stage leaves for the next one: weights in float16, and how far its training had come."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

ITERATIONS = "iterations"


def write_weights(path: Path, module: nn.Module, iterations: int) -> None:
    """Write a module's weights, whole or not at all."""
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in module.state_dict().items()
    }
    temporary = path.with_suffix(".new")
    save_file(weights, temporary, metadata={ITERATIONS: str(iterations)})
    temporary.replace(path)


def read_weights(path: Path, module: nn.Module) -> int:
    """Load weights into a module; returns the iterations that they stand for."""
    weights = {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_file(path).items()
    }
    module.load_state_dict(weights)
    with safe_open(path, framework="pt") as file:
        return int((file.metadata() or {}).get(ITERATIONS, 0))


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
        state = torch.load(state_file, weights_only=True)
        return state, int(state[ITERATIONS])
    return None, 0 if start is None else read_weights(start, module)
