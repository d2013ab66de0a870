"""Every tensor of the published checkpoints gets exactly one place in our model."""

import json

import pytest
import torch
from torch import Tensor

from frozenseg_label.checkpoints.official_keys import (
    CONSUMED,
    RULES,
    convert_official_state_dict,
    rename_official_key,
)
from frozenseg_label.errors import CheckpointError
from tests.parity.conftest import FOLDER

MODELS = {"convnext_large": 1279, "rn50x64": 2089}  # tensors in the file


def published(name: str) -> dict[str, Tensor]:
    rows = json.loads((FOLDER / "state_dicts" / f"state_dict_{name}.json").read_text())
    return {key: torch.empty(shape, device="meta") for key, shape, _ in rows}


@pytest.mark.parametrize("name", MODELS)
def test_every_published_key_is_used_exactly_once(name: str) -> None:
    state = published(name)
    assert len(state) == MODELS[name]
    names = [rename_official_key(key) for key in state if key not in CONSUMED]
    assert None not in names
    assert len(set(names)) == len(names) == len(state) - 1
    converted = convert_official_state_dict(state)
    assert list(converted) == names
    parts = {name.split(".")[0] for name in converted}
    assert parts == {"clip", "sam", "pixel_decoder", "transformer_decoder", "void_embedding"}


@pytest.mark.parametrize("name", MODELS)
def test_no_rule_is_idle(name: str) -> None:
    used = {rename_official_key(key) for key in published(name)}
    for ours in RULES.values():
        pieces = ours.replace("N", "0").replace("P", "weight").replace("*", "")
        assert any(key is not None and key.startswith(pieces) for key in used), ours


def test_tensors_of_every_part_get_our_names() -> None:
    clip = "backbone.clip_model.visual.trunk.stem.0.weight"
    assert rename_official_key(clip) == "clip.model.visual.trunk.stem.0.weight"
    sam = "sam.image_encoder.blocks.0.attn.rel_pos_h"
    assert rename_official_key(sam) == sam
    pixels = "sem_seg_head.pixel_decoder.sam_transformer.encoder.layers.4.self_attn.value_proj.bias"
    ours = "pixel_decoder.sam_encoder.layers.4.attention.value_projection.bias"
    assert rename_official_key(pixels) == ours
    injector = "transformer_cross_attention_layers_sam.6.multihead_attn.in_proj_weight"
    ours = "transformer_decoder.layers.6.feature_injector.attention.in_proj_weight"
    assert rename_official_key(f"sem_seg_head.predictor.{injector}") == ours


@pytest.mark.parametrize(
    "key",
    ["my.void_embedding.weight", "void_embedding.weight.old", "sam.", "voidXembedding.weight"],
)
def test_a_name_that_is_only_like_a_published_one_is_unknown(key: str) -> None:
    assert rename_official_key(key) is None


def test_an_unknown_tensor_is_named_with_the_file_and_the_remedy() -> None:
    state = {"void_embedding.weight": torch.zeros(1, 4), "optimizer.step": torch.zeros(())}
    with pytest.raises(CheckpointError) as caught:
        convert_official_state_dict(state, source="model.pth")
    message = str(caught.value)
    assert message.startswith("model.pth holds 1 tensors")
    assert "optimizer.step" in message
    assert "the authors offer" in message
