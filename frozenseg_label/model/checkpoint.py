"""Our own checkpoints: safetensors with a header that says which architecture, vocabulary and frozen parts belong.

The two frozen encoders are large and shared by all decoders trained on them, so they may lie once in a folder of
their own, `clip-<hash>.safetensors` and `sam-<hash>.safetensors`. The embedded model carries them inside.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from frozenseg_label.errors import CheckpointError
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.checkpoint_info import (
    HEADER_KEY,
    CheckpointInfo,
    TrainingCategory,
    read_checkpoint_info,
    read_header,
)
from frozenseg_label.model.frozenseg import FrozenSeg

FROZEN_PARTS: tuple[Literal["clip", "sam"], ...] = ("clip", "sam")


def save_checkpoint(
    path: Path,
    model: FrozenSeg,
    builder: str,
    categories: Iterable[TrainingCategory],
    *,
    frozen_folder: Path | None = None,
    half: bool = False,
    origin: str = "",
) -> CheckpointInfo:
    """Write a model, whole or not at all.

    Args:
        frozen_folder: where the frozen parts are kept once for all; None puts them into the file.
        half: store float16; the hashes are those of the rounded weights.
    """
    state = {key: _stored(value, half) for key, value in model.state_dict().items()}
    info = CheckpointInfo(
        builder=builder,
        categories=tuple(categories),
        clip_hash=hash_tensors(_part(state, "clip")),
        sam_hash=hash_tensors(_part(state, "sam")),
        decoder_hash=hash_tensors(_decoder(state)),
        frozen_inside=frozen_folder is None,
        origin=origin,
    )
    if frozen_folder is not None:
        for part, digest in (("clip", info.clip_hash), ("sam", info.sam_hash)):
            file = frozen_file(frozen_folder, part, digest)
            if not file.exists():
                write_safetensors(file, _part(state, part), {"part": part, "sha256": digest})
        state = _decoder(state)
    write_safetensors(path, state, {HEADER_KEY: info.model_dump_json()})
    return info


def load_checkpoint(
    path: Path, frozen_folder: Path | None = None
) -> tuple[FrozenSeg, CheckpointInfo]:
    """Build the model that a checkpoint names and fill it, in evaluation mode, float32.

    Args:
        frozen_folder: where frozen parts lie that are not in the file itself.
    """
    info = read_checkpoint_info(path)
    if info.builder not in BUILDERS:
        raise CheckpointError(
            f"{path} was made for the model {info.builder!r}, which this version does not know; it knows "
            f"{', '.join(BUILDERS)}"
        )
    state = _read_all(path, info, frozen_folder)
    model = BUILDERS[info.builder]()
    fill(model, state, path)
    return model.eval(), info


def fill(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into a model; CheckpointError unless every name and shape fits."""
    own = model.state_dict()
    wrong = sorted(own.keys() ^ state.keys())
    wrong += [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    if wrong:
        raise CheckpointError(
            f"{path} holds another model: {len(wrong)} tensors are missing, unknown or of another shape, among them "
            f"{', '.join(wrong[:3])}; check which weights belong to it with `frozenseg-label weights show`"
        )
    model.load_state_dict(state)


def hash_tensors(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and float32 (or integer) values, in the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key]
        value = value.float() if value.is_floating_point() else value
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def verify_checkpoint(path: Path, frozen_folder: Path | None = None) -> None:
    """Raise CheckpointError unless all tensors, frozen ones too, have the hashes that the header promises."""
    info = read_checkpoint_info(path)
    state = _read_all(path, info, frozen_folder)
    for name, found, promised in (
        ("clip", hash_tensors(_part(state, "clip")), info.clip_hash),
        ("sam", hash_tensors(_part(state, "sam")), info.sam_hash),
        ("decoder", hash_tensors(_decoder(state)), info.decoder_hash),
    ):
        if found != promised:
            raise CheckpointError(
                f"{path}: the {name} weights have SHA-256 {found[:12]}, the header promises {promised[:12]}; delete "
                f"the file and fetch or copy it again"
            )


def frozen_file(folder: Path, part: str, digest: str) -> Path:
    """Where a frozen part lies: the hash is its name."""
    return folder / f"{part}-{digest}.safetensors"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file as float32 (integers as they are)."""
    read_header(path)
    return {
        key: value.float() if value.is_floating_point() else value
        for key, value in load_file(path).items()
    }


def write_safetensors(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file({key: value.contiguous() for key, value in state.items()}, temporary, metadata)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_all(path: Path, info: CheckpointInfo, frozen_folder: Path | None) -> dict[str, Tensor]:
    state = read_tensors(path)
    if not info.frozen_inside:
        for part, digest in (("clip", info.clip_hash), ("sam", info.sam_hash)):
            state |= _read_frozen(path, part, digest, frozen_folder)
    return state


def _read_frozen(path: Path, part: str, digest: str, folder: Path | None) -> dict[str, Tensor]:
    file = None if folder is None else frozen_file(folder, part, digest)
    if file is None or not file.exists():
        raise CheckpointError(
            f"{path} needs the frozen {part} weights {digest[:12]}, which are not in {folder}; run `frozenseg-label "
            f"weights convert` on the published checkpoint again, or copy {part}-{digest}.safetensors there"
        )
    return read_tensors(file)


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu()
    return value.to(torch.float16) if half and value.is_floating_point() else value


def _part(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key.startswith(part + ".")}


def _decoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    frozen = tuple(part + "." for part in FROZEN_PARTS)
    return {key: value for key, value in state.items() if not key.startswith(frozen)}
