"""Names of weights, and the files that they stand for."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.checkpoints import named_weights as pretrained
from frozenseg_label.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from frozenseg_label.checkpoints.named_weights import NamedWeights, add, find_weights, list_weights
from frozenseg_label.errors import CheckpointError
from frozenseg_label.model import builders
from frozenseg_label.model.frozenseg import FrozenSeg

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_tiny: Callable[[], FrozenSeg]
) -> Path:
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny)
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_frozenseg: FrozenSeg) -> Path:
    """A whole one in one file."""
    save_checkpoint(tmp_path / "a.safetensors", tiny_frozenseg, "tiny", ())
    return tmp_path / "a.safetensors"


@pytest.fixture
def in_parts(tmp_path: Path, tiny_frozenseg: FrozenSeg) -> Path:
    """One whose encoders lie in a folder that is not the cache's."""
    path = tmp_path / "b.safetensors"
    save_checkpoint(path, tiny_frozenseg, "tiny", (), frozen_folder=tmp_path / "elsewhere")
    return path


def described(name: str) -> NamedWeights:
    return next(weights for weights in list_weights() if weights.name == name)


def test_an_added_checkpoint_is_found_by_its_name_and_loads(checkpoint: Path) -> None:
    path = add(checkpoint, "mine-2.1")
    checkpoint.unlink()
    assert find_weights("mine-2.1") == path
    assert load_checkpoint(path)[1].builder == "tiny"
    assert described("mine-2.1") == NamedWeights(
        "mine-2.1", True, "added here", path.stat().st_size, origin=""
    )
    assert [file.name for file in path.parent.iterdir()] == ["mine-2.1.safetensors"]


def test_what_a_kill_left_of_an_added_checkpoint_is_removed_by_the_next_one(
    checkpoint: Path, cache: Path
) -> None:
    old, young = (cache / "weights" / f".frozenseg-{name}.tmp" for name in ("00aa", "00bb"))
    old.parent.mkdir(parents=True)
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    add(checkpoint, "mine")
    assert sorted(file.name for file in old.parent.iterdir()) == [young.name, "mine.safetensors"]


def test_a_file_is_found_by_its_path(checkpoint: Path) -> None:
    assert find_weights(checkpoint) == find_weights(str(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nano", "belongs to published weights"),
        ("rn50x64", "belongs to published weights"),
        ("../nano", "cannot be a name"),
        (".hidden", "cannot be a name"),
        ("", "cannot be a name"),
    ],
)
def test_some_names_cannot_be_given(checkpoint: Path, name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        add(checkpoint, name)


def test_a_name_is_given_once(checkpoint: Path) -> None:
    add(checkpoint, "mine")
    with pytest.raises(CheckpointError, match=r"mine\.safetensors exists already"):
        add(checkpoint, "mine")


def test_a_checkpoint_is_added_only_when_its_frozen_parts_are_here(
    in_parts: Path, cache: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"needs the frozen clip and sam .*clip-\w+\.safe"):
        add(in_parts, "mine")
    assert not cache.exists()
    cache.mkdir()
    (in_parts.parent / "elsewhere").rename(cache / "frozen")
    load_checkpoint(add(in_parts, "mine"), pretrained.frozen_folder())


def test_weights_that_lost_a_part_are_listed_with_their_problem(
    in_parts: Path, cache: Path
) -> None:
    cache.mkdir()
    (in_parts.parent / "elsewhere").rename(cache / "frozen")
    add(in_parts, "mine")
    assert pretrained.is_whole("mine")
    next((cache / "frozen").glob("sam-*")).unlink()
    assert not described("mine").here
    assert "needs the frozen sam weights" in described("mine").problem
    assert not pretrained.is_whole("mine")


def test_a_cache_that_cannot_be_written_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(checkpoint))
    with pytest.raises(CheckpointError, match=r"mine\.safetensors: cannot be written"):
        add(checkpoint, "mine")


def test_published_weights_are_listed_before_they_are_here() -> None:
    listed = {weights.name: weights for weights in list_weights()}
    assert list(listed) == ["nano", "convnext-large", "rn50x64"]
    assert not listed["convnext-large"].here
    assert (
        "1ThjVgY7nawm1AAP1LhrmGVlI3zr1EYMG/view (fetching not tried yet)"
        in listed["convnext-large"].place
    )


def test_missing_published_weights_name_the_commands_that_bring_them() -> None:
    with pytest.raises(CheckpointError) as caught:
        find_weights("convnext-large")
    assert "`frozenseg-label weights fetch convnext-large`" in str(caught.value)
    assert "weights convert frozenseg_convnext_large.pth`" in str(caught.value)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="did you mean 'rn50x64'"):
        find_weights("rn50x46")
    with pytest.raises(CheckpointError, match="known names are convnext-large, nano, rn50x64"):
        find_weights("somewhere/model")


def test_headers_are_read_and_weights_are_found_without_torch(checkpoint: Path) -> None:
    program = (
        "import sys\n"
        "from frozenseg_label.checkpoints.header import read_checkpoint_info\n"
        "from frozenseg_label.checkpoints.named_weights import find_weights, list_weights\n"
        f"print(read_checkpoint_info(find_weights({str(checkpoint)!r})).builder)\n"
        "list_weights()\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "tiny\n"
