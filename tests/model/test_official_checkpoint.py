"""Every tensor of the published checkpoints gets exactly one place in our model; whatever else is said plainly."""

import json

import pytest
import torch
from torch import Tensor

from frozenseg_label.errors import CheckpointError
from frozenseg_label.model.official_checkpoint import (
    CONSUMED,
    check_state_dict,
    convert_official_state_dict,
    rename_official_key,
)
from frozenseg_label.model.pixel_decoder import PixelDecoder
from frozenseg_label.model.transformer_decoder import TransformerDecoder
from tests.parity.conftest import FOLDER

MODELS = {
    "convnext_large": (1279, (192, 384, 768, 1536), 768),
    "rn50x64": (2089, (512, 1024, 2048, 4096), 1024),
}


def published(name: str) -> dict[str, Tensor]:
    rows = json.loads((FOLDER / "state_dicts" / f"state_dict_{name}.json").read_text())
    types = {"float32": torch.float32, "int64": torch.int64}
    return {key: torch.empty(shape, dtype=types[kind], device="meta") for key, shape, kind in rows}


@pytest.mark.parametrize("name", MODELS)
def test_every_published_key_is_used_exactly_once(name: str) -> None:
    state = published(name)
    assert len(state) == MODELS[name][0]
    names = [rename_official_key(key) for key in state if key not in CONSUMED]
    assert len(set(names)) == len(names) == len(state) - 1
    assert set(convert_official_state_dict(state)) == set(names)
    parts = {name.split(".")[0] for name in names}
    assert parts == {"clip", "sam", "pixel_decoder", "transformer_decoder", "void_embedding"}


@pytest.mark.parametrize("name", MODELS)
def test_the_full_size_decoders_have_the_published_keys_and_shapes(name: str) -> None:
    _, channels, embedding_size = MODELS[name]
    with torch.device("meta"):
        parts = {
            "pixel_decoder": PixelDecoder(channels, sam_channels=256, sam_levels=3),
            "transformer_decoder": TransformerDecoder(256, embedding_size, queries=250),
        }
    expected = {
        f"{part}.{key}": tensor
        for part, module in parts.items()
        for key, tensor in module.state_dict().items()
    }
    converted = convert_official_state_dict(published(name))
    heads = {key: tensor for key, tensor in converted.items() if key.split(".")[0] in parts}
    check_state_dict(heads, expected)


def test_names_of_every_part_become_ours() -> None:
    assert rename_official_key("backbone.clip_model.logit_scale") == "clip.model.logit_scale"
    assert (
        rename_official_key("sam.image_encoder.blocks.0.attn.rel_pos_h")
        == "sam.image_encoder.blocks.0.attn.rel_pos_h"
    )
    assert (
        rename_official_key(
            "sem_seg_head.pixel_decoder.sam_transformer.encoder.layers.4.self_attn.value_proj.bias"
        )
        == "pixel_decoder.sam_encoder.layers.4.attention.value_projection.bias"
    )
    assert (
        rename_official_key(
            "sem_seg_head.predictor.transformer_cross_attention_layers_sam.6.multihead_attn.in_proj_weight"
        )
        == "transformer_decoder.layers.6.feature_injector.attention.in_proj_weight"
    )


def test_an_unknown_key_is_named_with_the_file() -> None:
    state = {"void_embedding.weight": torch.zeros(1, 4), "optimizer.step": torch.zeros(())}
    with pytest.raises(CheckpointError, match=r"model\.pth: optimizer\.step .*authors offer"):
        convert_official_state_dict(state, source="model.pth")
    with pytest.raises(CheckpointError, match="sem_seg_head.predictor.static_query.weight"):
        rename_official_key("sem_seg_head.predictor.static_query.weight")


def test_a_name_that_only_begins_or_ends_like_a_published_one_is_unknown() -> None:
    for key in (
        "my.void_embedding.weight",
        "void_embedding.weight.old",
        "sam.",
        "voidXembedding.weight",
    ):
        with pytest.raises(CheckpointError):
            rename_official_key(key)


def test_missing_surplus_and_misshapen_tensors_are_all_named() -> None:
    expected = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}
    state = {"a": torch.zeros(2), "b": torch.zeros(4), "d": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        check_state_dict(state, expected, source="x.safetensors")
    message = str(caught.value)
    assert message.startswith("x.safetensors does not fit this model")
    assert "1 missing: c" in message
    assert "1 too many: d" in message
    assert "b (4,) instead of (3,)" in message


def test_a_long_list_of_faults_is_cut_short() -> None:
    expected = {f"layer{i}": torch.zeros(1) for i in range(9)}
    with pytest.raises(CheckpointError, match="9 missing: layer0, layer1, layer2 and 6 more"):
        check_state_dict({}, expected)
