"""Kept tensors come back unchanged, or not at all."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from frozenseg_label.errors import TrainingError
from frozenseg_label.training.data.caches import TensorCache

TENSORS = {
    "floats": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16),
    "flags": torch.tensor([True, False]),
    "numbers": torch.arange(3),
    "nothing": torch.empty(2, 0),
    "scalar": torch.tensor(1.5),
    "turned": torch.arange(6.0).reshape(2, 3).T,
}


@pytest.fixture
def cache(tmp_path: Path) -> TensorCache:
    return TensorCache(tmp_path / "features")


def files(cache: TensorCache) -> list[Path]:
    return [path for path in cache.folder.rglob("*") if path.is_file()]


def assert_same(found: dict[str, Tensor] | None) -> None:
    assert found is not None
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_tensors_of_any_kind_come_back_as_they_were(cache: TensorCache) -> None:
    cache.write("an image", TENSORS)
    assert cache.has("an image")
    assert_same(cache.read("an image"))


def test_of_another_key_there_is_nothing(cache: TensorCache) -> None:
    assert cache.read("an image") is None
    assert not cache.has("an image")
    assert not cache.folder.exists()


def test_keys_do_not_meet(cache: TensorCache) -> None:
    for number in range(20):
        cache.write(f"{number}", {"value": torch.tensor(number)})
    found = [cache.read(f"{number}") for number in range(20)]
    assert [int(tensors["value"]) for tensors in found if tensors] == list(range(20))


def spoiled(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "a bit of a tensor", content[:-1] + bytes([content[-1] ^ 1])
    yield "cut off", content[: len(content) // 2]
    yield "empty", b""
    yield "something else", b"no tensors in here"


def test_a_damaged_file_is_noticed_named_and_removed(
    cache: TensorCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write("an image", TENSORS)
    (path,) = files(cache)
    for how, content in spoiled(path.read_bytes()):
        path.write_bytes(content)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert cache.read("an image") is None, how
        assert f"{path}: damaged" in caplog.text, how
        assert not path.exists(), how
        cache.write("an image", TENSORS)
        assert_same(cache.read("an image"))


def test_nothing_but_whole_files_is_left_behind(cache: TensorCache) -> None:
    for _ in range(2):
        cache.write("an image", TENSORS)
    assert [path.suffix for path in files(cache)] == [".safetensors"]


def test_what_is_about_to_be_written_is_announced_before_there_is_a_folder(
    cache: TensorCache, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        cache.announce("3 of 4 images to be kept", 2_000_000_000)
    assert f"3 of 4 images to be kept: about 2.00 GB in {cache.folder} (" in caplog.text
    assert "GB free)" in caplog.text
    assert not cache.folder.exists()


def test_too_little_room_is_an_error_that_says_what_to_do(cache: TensorCache) -> None:
    with pytest.raises(
        TrainingError, match=r"10000000000\.00 GB .*--cache-folder, or give --set cache=none"
    ):
        cache.announce("3 of 4 images to be kept", 10**19)
