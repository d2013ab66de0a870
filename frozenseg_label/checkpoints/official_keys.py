"""From names in the published FrozenSeg checkpoints to names of this project, one to one."""

import re
from collections.abc import Mapping
from itertools import count

from torch import Tensor

from frozenseg_label.errors import CheckpointError

# Read, but not loaded: the loss weights of the training categories.
CONSUMED = frozenset({"criterion.empty_weight"})

# published -> ours. A whole key must match. N is a number, P `weight` or `bias`, * a name that
# open_clip or segment-anything gave: these do not change.
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
    "transformer_ffn_layers.N.linear1.P": "layers.N.feed_forward.linear1.P",
    "transformer_ffn_layers.N.linear2.P": "layers.N.feed_forward.linear2.P",
    "transformer_ffn_layers.N.norm.P": "layers.N.feed_forward.norm.P",
}
_ATTENTION = {
    "N.ATTENTION.in_proj_P": "attention.in_proj_P",
    "N.ATTENTION.out_proj.P": "attention.out_proj.P",
    "N.norm.P": "norm.P",
}


def _under(theirs: str, ours: str, rules: Mapping[str, str]) -> dict[str, str]:
    """Return rules with a prefix on both sides."""
    return {f"{theirs}.{a}": f"{ours}.{b}" for a, b in rules.items()}


def _attention(block: str, inner: str, ours: str) -> dict[str, str]:
    """Return the rules of one kind of attention block of the transformer decoder."""
    rules = {a.replace("ATTENTION", inner): b for a, b in _ATTENTION.items()}
    return _under(f"{_QUERIES}.transformer_{block}", f"transformer_decoder.layers.N.{ours}", rules)


_PIXELS = "sem_seg_head.pixel_decoder"
_QUERIES = "sem_seg_head.predictor"
RULES: dict[str, str] = {
    "backbone.clip_model.*": "clip.model.*",
    "sam.*": "sam.*",
    "void_embedding.weight": "void_embedding",
    **_under(_PIXELS, "pixel_decoder", _PIXEL_DECODER),
    **_under(f"{_PIXELS}.transformer", "pixel_decoder.clip_encoder", _DEFORMABLE_ENCODER),
    **_under(f"{_PIXELS}.sam_transformer", "pixel_decoder.sam_encoder", _DEFORMABLE_ENCODER),
    **_under(_QUERIES, "transformer_decoder", _TRANSFORMER_DECODER),
    **_attention("self_attention_layers", "self_attn", "self_attention"),
    **_attention("cross_attention_layers", "multihead_attn", "cross_attention"),
    **_attention("cross_attention_layers_sam", "multihead_attn", "feature_injector"),
}


def convert_official_state_dict(
    state: Mapping[str, Tensor], source: str = "the checkpoint"
) -> dict[str, Tensor]:
    """Return the same tensors under this project's names, without those that only training reads.

    Args:
        state: the entry `model` of the published file.
        source: the file, for messages.
    """
    names = {key: rename_official_key(key) for key in state if key not in CONSUMED}
    unknown = [key for key, name in names.items() if name is None]
    if unknown:
        raise CheckpointError(
            f"{source} holds {len(unknown)} tensors that the published FrozenSeg models do not "
            f"have, among them {', '.join(unknown[:3])}; give the .pth that the authors offer for "
            "ConvNeXt-L or RN50x64, unchanged"
        )
    return {name: state[key] for key, name in names.items() if name is not None}


def rename_official_key(key: str) -> str | None:
    """Return this project's name of a published tensor; None where it is no published name."""
    for pattern, ours in _PATTERNS:
        match = pattern.fullmatch(key)
        if match is not None:
            return match.expand(ours)
    return None


# A placeholder is between two dots, at an end, or after `in_proj_`.
_PLACEHOLDER = re.compile(r"(?<![^._])[NP](?![^.])|\*")
_MEANINGS = {"N": r"(\d+)", "P": r"(weight|bias)", "*": r"(.+)"}


def _compile(rule: str) -> re.Pattern[str]:
    """Return the pattern of a published name, with a group for each placeholder."""
    parts = re.split(f"({_PLACEHOLDER.pattern})", rule)
    return re.compile("".join(_MEANINGS.get(part, re.escape(part)) for part in parts))


def _template(ours: str) -> str:
    """Return our name with a reference to a group in place of each placeholder."""
    number = count(1)
    return _PLACEHOLDER.sub(lambda _: rf"\g<{next(number)}>", ours)


_PATTERNS = [(_compile(theirs), _template(ours)) for theirs, ours in RULES.items()]
