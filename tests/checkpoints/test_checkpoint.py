"""Checkpoints: what is saved comes back, and everything else is refused with a remedy."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from frozenseg_label.checkpoints.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    verify_checkpoint,
)
from frozenseg_label.checkpoints.header import (
    HEADER_KEY,
    CheckpointInfo,
    TrainingCategory,
    read_checkpoint_info,
    read_header,
)
from frozenseg_label.checkpoints.named_weights import find_weights
from frozenseg_label.checkpoints.tensor_file import write_tensors
from frozenseg_label.errors import CheckpointError
from frozenseg_label.model import builders
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


def test_the_embedded_weights_say_that_they_are_for_drawings() -> None:
    assert read_checkpoint_info(find_weights("nano")).made_for == "drawings"


def test_what_weights_are_made_for_does_not_change_their_fingerprint(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    plain = save(tmp_path / "a.safetensors", tiny_frozenseg)
    assert plain.made_for == ""
    assert plain.model_copy(update={"made_for": "drawings"}).fingerprint == plain.fingerprint


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
    with pytest.raises(CheckpointError, match="needs the frozen clip and sam weights"):
        load_checkpoint(tmp_path / "b.safetensors", tmp_path / "elsewhere")


def test_a_damaged_frozen_part_is_named_by_verify_and_replaced_by_saving_again(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    path, frozen = tmp_path / "a.safetensors", tmp_path / "frozen"
    save(path, tiny_frozenseg, frozen)
    sam = next(frozen.glob("sam-*"))
    whole = sam.read_bytes()
    sam.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    with pytest.raises(CheckpointError, match=rf"{sam.name}: the sam weights have SHA-256"):
        verify_checkpoint(path, frozen)
    sam.write_bytes(whole[:-5])
    with pytest.raises(CheckpointError, match=rf"{sam.name} is damaged or cut off"):
        load_checkpoint(path, frozen)
    save(path, tiny_frozenseg, frozen)
    assert sam.read_bytes() == whole
    verify_checkpoint(path, frozen)


def test_a_loaded_model_can_be_trained_without_changing_its_file(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    path = tmp_path / "a.safetensors"
    save(path, tiny_frozenseg)
    before = path.read_bytes()
    model, _ = load_checkpoint(path)
    assert model.void_embedding.requires_grad
    assert not any(parameter.requires_grad for parameter in model.clip.parameters())
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor += 1
    assert path.read_bytes() == before


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
    with pytest.raises(CheckpointError, match="is promised in the header"):
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


def test_a_header_length_that_looks_like_a_pickle_does_not_mislead(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for length in range(300):
        save_file({"x": torch.zeros(1)}, path, {"y": "z" * length})
        if path.read_bytes()[0] == 0x80:  # as pickles begin
            break
    assert path.read_bytes()[0] == 0x80
    assert len(read_header(path)["y"]) == length


def test_tensors_of_another_model_are_refused_by_name(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    path = tmp_path / "a.safetensors"
    tiny_frozenseg.void_embedding = torch.nn.Parameter(torch.zeros(1, 99))
    save(path, tiny_frozenseg)
    with pytest.raises(CheckpointError, match="void_embedding"):
        load_checkpoint(path)


def test_a_checkpoint_that_does_not_fit_says_how(tmp_path: Path, tiny_frozenseg: FrozenSeg) -> None:
    path = tmp_path / "a.safetensors"
    tiny_frozenseg.more = torch.nn.Linear(1, 1)
    tiny_frozenseg.transformer_decoder.norm = torch.nn.Identity()
    save(path, tiny_frozenseg)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert "2 tensors missing, among them transformer_decoder.norm.weight" in str(caught.value)
    assert "2 tensors unknown, among them more.bias, more.weight" in str(caught.value)


def test_a_model_of_a_newer_version_is_named(tmp_path: Path, tiny_frozenseg: FrozenSeg) -> None:
    save_checkpoint(tmp_path / "a.safetensors", tiny_frozenseg, "giant", CATEGORIES)
    with pytest.raises(CheckpointError, match=r"made for the model 'giant', .* it knows nano, "):
        load_checkpoint(tmp_path / "a.safetensors")
    write_tensors(tmp_path / "b.safetensors", {}, {HEADER_KEY: '{"format": 2}'})
    with pytest.raises(CheckpointError, match="newer frozenseg-label: update"):
        load_checkpoint(tmp_path / "b.safetensors")


def test_no_room_for_a_checkpoint_leaves_nothing_behind(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"a\.safetensors: cannot be written"):
        save(tmp_path / "a.safetensors", tiny_frozenseg)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_safetensors_of_somebody_else_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint of frozenseg-label"):
        load_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_with_the_file_that_holds_them(
    tmp_path: Path, tiny_frozenseg: FrozenSeg, number: float
) -> None:
    path, frozen = tmp_path / "a.safetensors", tmp_path / "frozen"
    tiny_frozenseg.void_embedding.data[0, 3] = number
    save(path, tiny_frozenseg, frozen)
    with pytest.raises(CheckpointError, match=r"a\.safetensors: void_embedding holds numbers"):
        load_checkpoint(path, frozen)


HEADERS = {
    "nested deeply": "[" * 100_000,
    "digits": "9" * 5_000,
    "no JSON": "cat",
    "a list": "[1]",
    "no name": '{"names": []}',
    "an empty name": '{"names": ["cat", ""]}',
    "a surrogate": '{"names": ["\\ud800"]}',
    "a terminal's escape": '{"names": ["\\u001b[31m"]}',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_hostile_header_is_told_in_one_sentence(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.safetensors"
    if "names" in header:
        header = (
            f'{{"builder": "tiny", "categories": [{header[:-1]}, "is_thing": true}}], '
            '"clip_hash": "a", "sam_hash": "b", "decoder_hash": "c", "frozen_inside": true}'
        )
    write_tensors(path, {"x": torch.zeros(1)}, {HEADER_KEY: header})
    with pytest.raises(CheckpointError, match=r"a\.safetensors: its header") as caught:
        read_checkpoint_info(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_a_hash_that_leads_out_of_the_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    header = (
        '{"builder": "tiny", "categories": [], "clip_hash": "../../x", "sam_hash": "b", '
        '"decoder_hash": "c", "frozen_inside": false}'
    )
    write_tensors(path, {"x": torch.zeros(1)}, {HEADER_KEY: header})
    with pytest.raises(CheckpointError, match="clip_hash"):
        read_checkpoint_info(path)


@pytest.mark.parametrize(
    "content",
    [
        (2**63).to_bytes(8, "little") + b"{}",
        (200_001).to_bytes(8, "little") + b'{"a":' + b"[" * 199_996,
        (5).to_bytes(8, "little") + b"hello",
        b"abc",
        b"",
    ],
)
def test_what_is_no_safetensors_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged or cut off"):
        read_header(path)


def test_a_folder_and_a_pipe_are_no_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="pipe: no such file"):
        read_header(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_header(tmp_path)
