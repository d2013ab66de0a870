"""Published checkpoints: what cannot be converted is refused with the reason and the remedy.

The way from a good one to labels is in `test_full_size.py`.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from frozenseg_label.checkpoints.convert import convert_published, read_published
from frozenseg_label.errors import CheckpointError
from tests.parity.conftest import FOLDER

REMEDY = r"give the \.pth that the (FrozenSeg )?authors offer for ConvNeXt-L or RN50x64, unchanged"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published() -> dict[str, Tensor]:
    """All tensors of the published ConvNeXt-L model; each one a single number, repeated."""
    rows = json.loads((FOLDER / "state_dicts" / "state_dict_convnext_large.json").read_text())
    types = {"float32": torch.float32, "int64": torch.int64}
    return {key: torch.zeros((), dtype=types[kind]).expand(shape) for key, shape, kind in rows}


@pytest.fixture
def refuse(tmp_path: Path, cache: Path) -> Callable[[object], str]:
    """Save something, try to convert it, and return the message."""

    def attempt(content: object) -> str:
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(CheckpointError) as caught:
            convert_published(tmp_path / "x.pth")
        assert str(caught.value).startswith(str(tmp_path / "x.pth"))
        assert not cache.exists()
        return str(caught.value)

    return attempt


class Code:
    """What runs a command when it is unpickled in the plain way."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"x\.pth: no such file; {REMEDY}"):
        convert_published(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [b"", b"<html>no such file</html>", b"weights " * 1000])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"is no PyTorch checkpoint; {REMEDY}"):
        convert_published(tmp_path / "x.pth")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_cut_off_is_damaged(tmp_path: Path, share: float, zipped: bool) -> None:
    path = tmp_path / "x.pth"
    state = {"model": {"void_embedding.weight": torch.zeros(1, 768)}}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    assert read_published(path)["void_embedding.weight"].shape == (1, 768)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="damaged or cut off; download it again"):
        convert_published(path)


def test_code_in_a_file_is_not_run(tmp_path: Path, refuse: Callable[[object], str]) -> None:
    message = refuse({"model": Code(f"touch {tmp_path / 'harm'}")})
    assert "could run code when opened, so it was left unopened" in message
    assert "system" in message
    assert "weights_only" not in message
    assert not (tmp_path / "harm").exists()


def test_tensors_that_are_not_under_model_are_refused(
    refuse: Callable[[object], str], published: dict[str, Tensor]
) -> None:
    assert "has no 'model' entry" in refuse(published)
    assert "has no 'model' entry" in refuse([1, 2])
    assert "other things than tensors under 'model'" in refuse({"model": {"a": 1}})
    assert "other things than tensors under 'model'" in refuse({"model": {1: torch.zeros(1)}})


def test_unknown_tensors_are_named(
    refuse: Callable[[object], str], published: dict[str, Tensor]
) -> None:
    message = refuse({"model": published | {"head.a": torch.zeros(1), "head.b": torch.zeros(1)}})
    assert "holds 2 tensors" in message
    assert "head.a, head.b" in message


def test_missing_and_misshapen_tensors_are_named(
    refuse: Callable[[object], str], published: dict[str, Tensor]
) -> None:
    del published["sam.mask_decoder.iou_token.weight"]
    published["backbone.clip_model.ln_final.weight"] = torch.zeros(99)
    message = refuse({"model": published})
    assert "1 tensors missing, among them sam.mask_decoder.iou_token.weight" in message
    assert "clip.model.ln_final.weight is (99,) in place of (768,)" in message


def test_a_model_of_another_size_is_refused(
    refuse: Callable[[object], str], published: dict[str, Tensor]
) -> None:
    assert "tells which model it is" in refuse({"model": {}})
    for wrong in (torch.zeros(1, 640), torch.zeros(())):
        published["void_embedding.weight"] = wrong
        assert "tells which model it is" in refuse({"model": published})
