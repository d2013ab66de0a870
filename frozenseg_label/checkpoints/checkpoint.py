"""Checkpoints of this project: safetensors, with a header that names the model and its parts.

The two frozen encoders are large and shared by all decoders trained on them, so they may be kept
once in a folder of their own, as `clip-<hash>.safetensors` and `sam-<hash>.safetensors`. The
embedded model has them inside.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from frozenseg_label.checkpoints.header import (
    FROZEN_PARTS,
    HEADER_KEY,
    CheckpointInfo,
    MadeFor,
    TrainingCategory,
    frozen_file,
    is_frozen,
    read_checkpoint_info,
    read_header,
)
from frozenseg_label.checkpoints.tensor_file import hash_tensors, read_tensors, write_tensors
from frozenseg_label.errors import CheckpointError
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.frozenseg import FrozenSeg

_DRAWING = (Tensor.normal_, Tensor.uniform_, Tensor.erfinv_)


def save_checkpoint(
    path: Path,
    model: FrozenSeg,
    builder: str,
    categories: Iterable[TrainingCategory],
    *,
    frozen_folder: Path | None = None,
    half: bool = False,
    origin: str = "",
    made_for: MadeFor = "",
) -> CheckpointInfo:
    """Write a model, whole or not at all.

    Args:
        frozen_folder: where the frozen parts are kept for all checkpoints; None puts them into the
            file.
        half: store float16; the hashes are those of the rounded weights.
    """
    state = {key: _stored(value, half) for key, value in model.state_dict().items()}
    info = CheckpointInfo(
        builder=builder,
        categories=tuple(categories),
        clip_hash=hash_tensors(_part(state, "clip")),
        sam_hash=hash_tensors(_part(state, "sam")),
        decoder_hash=hash_tensors(_part(state, "decoder")),
        frozen_inside=frozen_folder is None,
        origin=origin,
        made_for=made_for,
    )
    if frozen_folder is not None:
        for part in FROZEN_PARTS:
            digest = info.part_hash(part)
            file = frozen_file(frozen_folder, part, digest)
            if not _is_readable(file):
                write_tensors(file, _part(state, part), {"sha256": digest})
        state = _part(state, "decoder")
    write_tensors(path, state, {HEADER_KEY: info.model_dump_json()})
    return info


def load_checkpoint(
    path: Path, frozen_folder: Path | None = None, *, encoders: bool = True
) -> tuple[FrozenSeg, CheckpointInfo]:
    """Build the model that a checkpoint names and fill it, in evaluation mode, float32.

    Args:
        frozen_folder: of the frozen parts that are not in the file itself.
        encoders: False reads only what names masks, CLIP's text tower, the scales and the vector of
            void; all other tensors are on the meta device then, without values.
    """
    info = read_checkpoint_info(path)
    if info.builder not in BUILDERS:
        raise CheckpointError(
            f"{path} was made for the model {info.builder!r}, which this version does not know; it "
            f"knows {', '.join(BUILDERS)}"
        )
    if encoders:
        state = _read_all(path, info, frozen_folder)
        return build_filled(info.builder, state, str(path)).eval(), info
    state = _read_all(path, info, frozen_folder, names_masks)
    return build_filled(info.builder, state, str(path), names_masks).eval(), info


def names_masks(key: str) -> bool:
    """Tell whether a tensor of this name serves to name masks that are there already."""
    of_text = key.startswith("clip.") and not key.startswith("clip.model.visual.")
    return of_text or key in ("void_embedding", "transformer_decoder.logit_scale")


def build_filled(
    builder: str,
    state: Mapping[str, Tensor],
    source: str,
    wanted: Callable[[str], bool] | None = None,
) -> FrozenSeg:
    """Build a model around given tensors; CheckpointError unless every name and shape fits.

    The model takes the tensors themselves: no second copy of the weights, no random numbers that
    nobody needs.

    Args:
        builder: a name of `BUILDERS`.
        source: where the tensors come from, for messages.
        wanted: which tensors, by name, are to be filled; the others get no memory. None: all.
    """
    # What is not written takes no memory yet; arithmetic without memory ("meta") is slow to start.
    with _WithoutDrawing() if wanted is None else torch.device("meta"):
        model = BUILDERS[builder]()
    own = {k: v for k, v in model.state_dict().items() if wanted is None or wanted(k)}
    _refuse_other_model(state, own, source)
    model.load_state_dict(
        {key: state[key].to(value.dtype) for key, value in own.items()},
        assign=True,
        strict=False,  # what is missing or unknown was refused already
    )
    return model


class _WithoutDrawing(TorchFunctionMode):
    """Draws no random numbers for a model whose weights are about to be put in their place."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        if func in _DRAWING:  # some inits draw until all numbers are within bounds
            return Tensor.zero_(args[0])  # type: ignore[arg-type]
        if func is torch.randn:
            return torch.empty(*args, **(kwargs or {}))  # type: ignore[call-overload]
        return func(*args, **(kwargs or {}))


def _refuse_other_model(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str
) -> None:
    """Raise CheckpointError where names or shapes are not the model's own."""
    odd = [
        f"{key} is {tuple(state[key].shape)} in place of {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    missing = [key for key in own if key not in state]
    unknown = [key for key in state if key not in own]
    faults = [
        f"{len(keys)} tensors {fault}, among them {', '.join(keys[:3])}"
        for fault, keys in (("missing", missing), ("unknown", unknown), ("of another shape", odd))
        if keys
    ]
    if faults:
        raise CheckpointError(
            f"{source} holds another model or is not whole: {'; '.join(faults)} (names after "
            f"conversion); check that it is the right file, or fetch or copy it again"
        )


def verify_checkpoint(path: Path, frozen_folder: Path | None = None) -> None:
    """Raise CheckpointError unless all tensors have the hashes that the header promises.

    Args:
        frozen_folder: of the frozen parts that are not in the file itself; they are read too.
    """
    info = read_checkpoint_info(path)
    state = _read_all(path, info, frozen_folder)
    for part in (*FROZEN_PARTS, "decoder"):
        found, promised = hash_tensors(_part(state, part)), info.part_hash(part)
        if found != promised:
            file = path
            if frozen_folder is not None and part != "decoder" and not info.frozen_inside:
                file = frozen_file(frozen_folder, part, promised)
            raise CheckpointError(
                f"{file}: the {part} weights have SHA-256 {found[:12]}, but {promised[:12]} is "
                f"promised in the header of {path.name}; delete the file and fetch, convert or "
                f"copy it again"
            )


def _read_all(
    path: Path,
    info: CheckpointInfo,
    frozen_folder: Path | None,
    wanted: Callable[[str], bool] = lambda _: True,
) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint and of its frozen parts, those whose names are wanted."""
    missing = info.missing_parts(frozen_folder)
    if missing:
        raise CheckpointError(
            f"{path} needs the frozen {' and '.join(missing)} weights, which are not in "
            f"{frozen_folder}; run `frozenseg-label weights convert` on the published checkpoint "
            f"again, or copy {', '.join(missing.values())} there"
        )
    state = read_tensors(path, wanted)
    if not info.frozen_inside and frozen_folder is not None:
        for part in FROZEN_PARTS:
            state |= read_tensors(frozen_file(frozen_folder, part, info.part_hash(part)), wanted)
    return state


def _is_readable(file: Path) -> bool:
    """Tell whether a file is there and its header can be read."""
    try:
        read_header(file)
    except CheckpointError:
        return False
    return True


def _stored(value: Tensor, half: bool) -> Tensor:
    """Return a tensor as it is written: on the CPU, floats rounded to float16 where asked."""
    value = value.detach().cpu()
    return value.to(torch.float16) if half and value.is_floating_point() else value


def _part(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of a frozen part, or of the decoder: all that is not frozen."""
    return {key: value for key, value in state.items() if _part_of(key) == part}


def _part_of(key: str) -> str:
    """Return the part that a tensor of this name belongs to: clip, sam or decoder."""
    return key.split(".")[0] if is_frozen(key) else "decoder"
