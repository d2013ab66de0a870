"""Files that a stage leaves for the next one: weights in float16, state, log."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from frozenseg_label.checkpoints.header import is_frozen, read_header
from frozenseg_label.checkpoints.tensor_file import read_tensors, write_tensors
from frozenseg_label.files import atomic_path
from frozenseg_label.model.frozenseg import FrozenSeg

ITERATIONS = "iterations"
BRANCH_ENDS = ("mlp.fc2", "mlp.lin2", "attn.proj")  # of a ConvNeXt's and a ViT's block


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log or of results, each one JSON; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_weights(path: Path, module: nn.Module, iterations: int) -> None:
    """Write a module's weights, whole or not at all."""
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in module.state_dict().items()
    }
    write_tensors(path, weights, {ITERATIONS: str(iterations)})


def write_state(path: Path, state: dict[str, object]) -> None:
    """Write everything that a training goes on from, whole or not at all."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def read_weights(path: Path, module: nn.Module) -> int:
    """Load weights into a module; return the iterations of the training that made them."""
    module.load_state_dict(read_tensors(path))
    return iterations_of(path)


def iterations_of(path: Path) -> int:
    """Return the iterations of the training that made some weights."""
    return int(read_header(path).get(ITERATIONS, 0))


def read_decoder(path: Path, model: FrozenSeg) -> None:
    """Load the weights of train_decoder; ValueError where one is missing or unknown."""
    missing, unknown = model.load_state_dict(load_file(path), strict=False)
    decoder_keys = [key for key in missing if not is_frozen(key)]
    if decoder_keys or unknown:
        raise ValueError(f"{path}: the decoder lacks {decoder_keys[:3]} or has {unknown[:3]}")


def take_up(
    state_file: Path, start: Path | None, module: nn.Module
) -> tuple[dict[str, Any] | None, int]:
    """Return the state of a stopped training, or load the weights that a new one begins with.

    Args:
        state_file: of the training's folder.
        start: weights of an earlier training, for example the committed ones; its schedule
            goes on at their iteration, and the optimizer remembers nothing.
        module: takes the weights; blocks that are missing in them begin as identities.

    Returns:
        The state, None where there is none; the iterations done.
    """
    if state_file.exists():
        state = torch.load(state_file, map_location="cpu", weights_only=True)
        return state, int(state[ITERATIONS])
    if start is None:
        return None, 0
    missing, unknown = module.load_state_dict(read_tensors(start), strict=False)
    if unknown or not set(missing) <= begin_as_identities(module, missing):
        raise ValueError(f"{start}: not weights of this model, nor of one with fewer blocks")
    return None, iterations_of(start)


def begin_as_identities(module: nn.Module, missing: Collection[str]) -> set[str]:
    """Let blocks whose weights are all missing add nothing at first; return the keys of these."""
    filled = set()
    for name, block in module.named_modules():
        parameters = {f"{name}.{key}" for key, _ in block.named_parameters()}
        if re.fullmatch(r".*blocks\.\d+", name) and parameters <= set(missing):
            filled |= {key for key in missing if key.startswith(f"{name}.")}
            for inner, layer in block.named_modules():
                if inner in BRANCH_ENDS:
                    nn.init.zeros_(layer.weight)
                    nn.init.zeros_(layer.bias)
    return filled
