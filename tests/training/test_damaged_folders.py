"""A file of a training that is cut, replaced or lost is made again, or named with a remedy."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from frozenseg_label import train
from frozenseg_label.checkpoints.checkpoint import verify_checkpoint
from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.training.train import TrainSummary

SETTINGS = ("batch_size=1", "num_points=32", "held_out=0.3", "cache=features", "flip=0")
STATE = "state-00000002"

Resume = Callable[[Path], TrainSummary]


@pytest.fixture
def resume(tiny_weights: Path, scenes: Mapping[str, Path]) -> Resume:
    def call(folder: Path) -> TrainSummary:
        return train(
            scenes["second"],
            folder,
            settings=SETTINGS,
            weights=tiny_weights,
            max_steps=2,
            resume=True,
        )

    return call


@pytest.fixture
def finished(resume: Resume, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that is finished; a test may damage it."""
    once = tmp_path_factory.getbasetemp() / "a-finished-training"
    if not (once / "report.json").exists():
        resume(once)
    return Path(shutil.copytree(once, tmp_path / "out"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {"cut": cut, "replaced by a folder": replace, "removed": Path.unlink}

# The files that a training reads or replaces, and whether the report, its last file, is there.
FILES = [
    ("training.json", True),
    (f"{STATE}/weights.safetensors", False),
    (f"{STATE}/optimizer.pt", False),
    (f"{STATE}/memory.json", False),
    ("best.safetensors", False),
    ("best.safetensors", True),
    ("last.safetensors", False),
    ("log.jsonl", False),
    ("report.json", True),
    ("features/*/*.safetensors", False),
]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize(("file", "is_reported"), FILES)
def test_a_damaged_file_is_made_again_or_named_with_a_remedy(
    finished: Path, resume: Resume, file: str, is_reported: bool, damage: Callable[[Path], None]
) -> None:
    path = next(finished.glob(file))
    if not is_reported:
        (finished / "report.json").unlink()
    damage(path)
    try:
        result = resume(finished)
    except FrozenSegLabelError as error:
        named = f"{error}"
        assert str(path) in named or str(path.parent) in named
        assert any(word in named for word in ("restore", "remove it", "move it away", "see that"))
        assert "\n" not in named
    else:
        assert result.steps == 2
        assert result.checkpoint is not None
        verify_checkpoint(result.checkpoint)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_files_that_are_for_people_stop_nothing(
    finished: Path, resume: Resume, damage: Callable[[Path], None]
) -> None:
    (finished / "report.json").unlink()
    for file in ("settings.yaml", ".frozenseg-label", "tensorboard/*"):
        damage(next(finished.glob(file)))
    assert resume(finished).steps == 2


def test_a_damaged_state_that_is_removed_lets_the_training_begin_anew(
    finished: Path, resume: Resume
) -> None:
    (finished / "report.json").unlink()
    cut(finished / STATE / "optimizer.pt")
    with pytest.raises(FrozenSegLabelError, match=r"remove it and give --resume: .* goes on anew"):
        resume(finished)
    shutil.rmtree(finished / STATE)
    assert resume(finished).steps == 2


def test_what_kills_left_in_the_folder_is_removed_by_the_next_start(
    finished: Path, resume: Resume
) -> None:
    (finished / "report.json").unlink()
    kept = next(finished.glob("features/*/*.safetensors"))
    mine = finished / ".frozenseg-00aa.tmp"
    old = kept.with_name(".frozenseg-00bb.tmp")
    young = kept.with_name(".frozenseg-00cc.tmp")  # another training may be writing it
    mine.mkdir()
    for path in (mine / "weights.safetensors", old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    resume(finished)
    assert not mine.exists()
    assert not old.exists()
    assert young.exists()
