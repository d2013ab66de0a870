"""Fixtures of whole trainings: demonstration scenes with their truth, and a tiny checkpoint."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.demo.write_demo import write_demo
from frozenseg_label.model import builders
from frozenseg_label.model.frozenseg import FrozenSeg


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return COCO panoptic sets by name, of scenes of 64 x 64 pixels, with their pictures."""
    folder = tmp_path_factory.mktemp("scenes")
    for name, count, seed in (("first", 5, 100), ("second", 3, 300), ("probe", 2, 900)):
        write_demo(folder / name / "images", count, seed, folder / name, size=64)
    return {name: folder / name for name in ("first", "second", "probe")}


@pytest.fixture
def tiny_weights(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    build_tiny: Callable[[], FrozenSeg],
) -> Path:
    """Return a checkpoint that has seen a fox; text embeddings go to a cache for the tests."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny)
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(base / "cache"))
    path = base / "tiny.safetensors"
    if not path.exists():
        fox = TrainingCategory(names=("fox",), is_thing=True)
        save_checkpoint(path, build_tiny(), "tiny", [fox])
    return path
