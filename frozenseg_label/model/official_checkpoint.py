"""Names of the published FrozenSeg checkpoints (detectron2 style) -> names of this project; every key is used exactly once."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from frozenseg_label.errors import CheckpointError

# Read, but not loaded: the loss weights of the training categories.
CONSUMED = frozenset({"criterion.empty_weight"})

# published -> ours. A whole key must match; N is a layer's number, P `weight` or `bias`, both kept as they are;
# * is the rest of a name that open_clip or segment-anything gave.
_DEFORMABLE_ENCODER = {
    "level_embed": "level_embedding",
    "encoder.layers.N.self_attn.sampling_offsets.P": "layers.N.attention.sampling_offsets.P",
    "encoder.layers.N.self_attn.attention_weights.P": "layers.N.attention.attention_weights.P",
    "encoder.layers.N.self_attn.value_proj.P": "layers.N.attention.value_projection.P",
    "encoder.layers.N.self_attn.output_proj.P": "layers.N.attention.output_projection.P",
    "encoder.layers.N.norm1.P": "layers.N.norm.P",
    "encoder.layers.N.linear1.P": "layers.N.feed_forward.linear1.P",
    "encoder.layers.N.linear2.P": "layers.N.feed_forward.linear2.P",
    "encoder.layers.N.norm2.P": "layers.N.feed_forward.norm.P",
}
_PIXEL_DECODER = {
    "input_proj.N.N.P": "input_projections.N.N.P",
    "adapter_1.weight": "lateral.0.weight",
    "adapter_1.norm.P": "lateral.1.P",
    "layer_1.weight": "output.0.weight",
    "layer_1.norm.P": "output.1.P",
    "mask_features.P": "mask_features.P",
    "fpn3.N.P": "sam_projection.N.P",
}
_TRANSFORMER_DECODER = {
    "logit_scale": "logit_scale",
    "query_feat.weight": "query_features",
    "query_embed.weight": "query_positions",
    "level_embed.weight": "level_embedding",
    "decoder_norm.P": "norm.P",
    "mask_embed.layers.N.P": "mask_embedding.layers.N.P",
    "_mask_pooling_proj.N.P": "pooled_projection.N.P",
    "class_embed.layers.N.P": "class_embedding.layers.N.P",
    "transformer_self_attention_layers.N.self_attn.in_proj_P": "layers.N.self_attention.attention.in_proj_P",
    "transformer_self_attention_layers.N.self_attn.out_proj.P": "layers.N.self_attention.attention.out_proj.P",
    "transformer_self_attention_layers.N.norm.P": "layers.N.self_attention.norm.P",
    "transformer_cross_attention_layers.N.multihead_attn.in_proj_P": "layers.N.cross_attention.attention.in_proj_P",
    "transformer_cross_attention_layers.N.multihead_attn.out_proj.P": "layers.N.cross_attention.attention.out_proj.P",
    "transformer_cross_attention_layers.N.norm.P": "layers.N.cross_attention.norm.P",
    "transformer_cross_attention_layers_sam.N.multihead_attn.in_proj_P": "layers.N.feature_injector.attention.in_proj_P",
    "transformer_cross_attention_layers_sam.N.multihead_attn.out_proj.P": "layers.N.feature_injector.attention.out_proj.P",
    "transformer_cross_attention_layers_sam.N.norm.P": "layers.N.feature_injector.norm.P",
    "transformer_ffn_layers.N.linear1.P": "layers.N.feed_forward.linear1.P",
    "transformer_ffn_layers.N.linear2.P": "layers.N.feed_forward.linear2.P",
    "transformer_ffn_layers.N.norm.P": "layers.N.feed_forward.norm.P",
}


def _under(theirs: str, ours: str, rules: Mapping[str, str]) -> dict[str, str]:
    return {f"{theirs}.{a}": f"{ours}.{b}" for a, b in rules.items()}


_PIXELS = "sem_seg_head.pixel_decoder"
RULES: dict[str, str] = {
    "backbone.clip_model.*": "clip.model.*",
    "sam.*": "sam.*",
    "void_embedding.weight": "void_embedding",
    **_under(_PIXELS, "pixel_decoder", _PIXEL_DECODER),
    **_under(f"{_PIXELS}.transformer", "pixel_decoder.clip_encoder", _DEFORMABLE_ENCODER),
    **_under(f"{_PIXELS}.sam_transformer", "pixel_decoder.sam_encoder", _DEFORMABLE_ENCODER),
    **_under("sem_seg_head.predictor", "transformer_decoder", _TRANSFORMER_DECODER),
}


def rename_official_key(key: str) -> str:
    """Return this project's name of a published tensor; CheckpointError where it is none."""
    for pattern, ours in _COMPILED:
        match = pattern.fullmatch(key)
        if match is not None:
            kept = iter(match.groups())
            return _PLACEHOLDER.sub(lambda _, kept=kept: next(kept), ours)
    raise CheckpointError(
        f"{key!r} is not a name of the published FrozenSeg models; give the .pth that the authors offer for "
        "ConvNeXt-L or R50x64, unchanged"
    )


def convert_official_state_dict(
    state: Mapping[str, Tensor], source: str = "the checkpoint"
) -> dict[str, Tensor]:
    """Return the same tensors under this project's names, without those that only training reads.

    Args:
        state: what lies under `model` in the published file.
        source: the file, for messages.
    """
    unknown: list[str] = []
    converted: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key in CONSUMED:
            continue
        try:
            name = rename_official_key(key)
        except CheckpointError:
            unknown.append(key)
            continue
        if name in converted:
            raise CheckpointError(
                f"{source}: two tensors would both become {name!r}, one is {key!r}"
            )
        converted[name] = tensor
    if unknown:
        raise CheckpointError(
            f"{source}: {_first(unknown)} are no names of the published FrozenSeg models; "
            "give the .pth that the authors offer for ConvNeXt-L or R50x64, unchanged"
        )
    return converted


def check_state_dict(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str = "the checkpoint"
) -> None:
    """Raise CheckpointError unless both hold the same names with the same shapes.

    Args:
        state: converted tensors.
        expected: `state_dict()` of the model that will load them; may live on the meta device.
        source: the file, for messages.
    """
    missing = [name for name in expected if name not in state]
    surplus = [name for name in state if name not in expected]
    odd = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    faults = [
        f"{len(names)} {what}: {_first(names)}"
        for what, names in (("missing", missing), ("too many", surplus), ("of another shape", odd))
        if names
    ]
    if faults:
        raise CheckpointError(
            f"{source} does not fit this model ({'; '.join(faults)}); "
            "choose the builder that the file was made for, or fetch the file again"
        )


def _first(names: Collection[str], count: int = 3) -> str:
    shown = ", ".join(list(names)[:count])
    return shown if len(names) <= count else f"{shown} and {len(names) - count} more"


# A placeholder stands between two dots, at an end, or after `in_proj_`.
_PLACEHOLDER = re.compile(r"(?<![^._])[NP](?![^.])|\*")
_MEANINGS = {"N": r"(\d+)", "P": r"(weight|bias)", "*": r"(.+)"}


def _compile(rule: str) -> re.Pattern[str]:
    parts = re.split(f"({_PLACEHOLDER.pattern})", rule)
    return re.compile("".join(_MEANINGS.get(part, re.escape(part)) for part in parts))


_COMPILED = [(_compile(theirs), ours) for theirs, ours in RULES.items()]
