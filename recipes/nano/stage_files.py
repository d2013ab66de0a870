"""What a stage leaves for the next one: weights in float16, how far it had come, and its log."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from frozenseg_label.model.checkpoint_info import is_frozen, read_header
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.tensor_file import read_tensors, write_tensors
from frozenseg_label.model.whole_file import whole_file

ITERATIONS = "iterations"


def read_lines(path: Path) -> list[dict]:
    """Return the lines of a log or of results, JSON each; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


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


def read_decoder(path: Path, model: FrozenSeg) -> None:
    """Load what decoder.py trains; ValueError where something is missing or unknown."""
    missing, unknown = model.load_state_dict(load_file(path), strict=False)
    decoder_keys = [key for key in missing if not is_frozen(key)]
    if decoder_keys or unknown:
        raise ValueError(f"{path}: the decoder lacks {decoder_keys[:3]} or has {unknown[:3]}")


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
