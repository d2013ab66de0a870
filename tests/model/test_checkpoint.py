"""Checkpoints: what is saved comes back, and everything else is refused with a remedy."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from frozenseg_label.errors import CheckpointError
from frozenseg_label.model import builders
from frozenseg_label.model.checkpoint import load_checkpoint, save_checkpoint, verify_checkpoint
from frozenseg_label.model.checkpoint_info import (
    CheckpointInfo,
    TrainingCategory,
    read_checkpoint_info,
)
from frozenseg_label.model.frozenseg import FrozenSeg

CATEGORIES = (
    TrainingCategory(names=("cat", "kitten"), is_thing=True),
    TrainingCategory(names=("sky",), is_thing=False),
)


@pytest.fixture(autouse=True)
def tiny_builder(monkeypatch: pytest.MonkeyPatch, build_tiny: object) -> None:
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny)


def save(
    path: Path, model: FrozenSeg, frozen_folder: Path | None = None, half: bool = False
) -> CheckpointInfo:
    return save_checkpoint(
        path, model, "tiny", CATEGORIES, frozen_folder=frozen_folder, half=half, origin="a test"
    )


def scramble(model: FrozenSeg) -> FrozenSeg:
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter))
    return model


def test_a_saved_model_comes_back_with_its_vocabulary(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    save(tmp_path / "a.safetensors", scramble(tiny_frozenseg))
    model, info = load_checkpoint(tmp_path / "a.safetensors")
    for key, value in tiny_frozenseg.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    assert not model.training
    assert info.seen_names == {"cat", "kitten", "sky"}
    assert info == read_checkpoint_info(tmp_path / "a.safetensors")


def test_two_checkpoints_share_their_frozen_parts(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    frozen = tmp_path / "frozen"
    first = save(tmp_path / "a.safetensors", tiny_frozenseg, frozen)
    tiny_frozenseg.void_embedding.data += 1
    second = save(tmp_path / "b.safetensors", tiny_frozenseg, frozen)
    assert len(list(frozen.iterdir())) == 2
    assert first.clip_hash == second.clip_hash
    assert first.fingerprint != second.fingerprint
    model, _ = load_checkpoint(tmp_path / "b.safetensors", frozen)
    assert torch.equal(model.void_embedding, tiny_frozenseg.void_embedding)
    with pytest.raises(CheckpointError, match="needs the frozen clip weights"):
        load_checkpoint(tmp_path / "b.safetensors", tmp_path / "elsewhere")


def test_half_precision_on_disk_is_verified_by_the_hash_of_what_is_loaded(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    path = tmp_path / "a.safetensors"
    save(path, tiny_frozenseg, half=True)
    verify_checkpoint(path)
    model, _ = load_checkpoint(path)
    assert model.void_embedding.dtype == torch.float32
    torch.testing.assert_close(
        model.void_embedding, tiny_frozenseg.void_embedding, atol=2e-3, rtol=1e-3
    )


def test_a_changed_bit_is_found_by_verify(tmp_path: Path, tiny_frozenseg: FrozenSeg) -> None:
    path = tmp_path / "a.safetensors"
    save(path, tiny_frozenseg)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="the header promises"):
        verify_checkpoint(path)


def test_a_cut_off_file_is_named_as_damaged(tmp_path: Path, tiny_frozenseg: FrozenSeg) -> None:
    path = tmp_path / "a.safetensors"
    save(path, tiny_frozenseg)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged or cut off"):
        load_checkpoint(path)


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    torch.save({"model": {}}, path)
    with pytest.raises(CheckpointError, match="weights convert"):
        load_checkpoint(path)


def test_tensors_of_another_model_are_refused_by_name(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    path = tmp_path / "a.safetensors"
    tiny_frozenseg.void_embedding = torch.nn.Parameter(torch.zeros(1, 99))
    save(path, tiny_frozenseg)
    with pytest.raises(CheckpointError, match="void_embedding"):
        load_checkpoint(path)


def test_safetensors_of_somebody_else_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint of frozenseg-label"):
        load_checkpoint(tmp_path / "a.safetensors")
