"""A vocabulary of four classes, manifests of runs with it, and such a run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.vocabulary import Category, Vocabulary
from tests.review.small_run import MakeManifest, annotate, labels

VOCABULARY = Vocabulary(
    "animals",
    (
        Category("cat", 1, ("kitten",), color=(255, 0, 0)),
        Category("dog", 2, color=(0, 255, 0)),
        Category("sky", 3, is_thing=False, color=(0, 0, 255)),
        Category("grass", 4, is_thing=False, color=(0, 128, 0)),
    ),
)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return VOCABULARY


@pytest.fixture
def make_manifest() -> Callable[..., Manifest]:
    """Return a manifest of a run by the weights of this name."""

    def make(weights: str = "nano") -> Manifest:
        return Manifest.of(
            tool_version="0.1",
            arguments={"images": ["photos"]},
            weights=weights,
            weights_fingerprint=f"fingerprint of {weights}",
            vocabulary=VOCABULARY,
            seen_names=["cat"],
            options={},
        )

    return make


@pytest.fixture
def out(tmp_path: Path, mongod: str, make_manifest: MakeManifest) -> Iterator[Path]:
    """Yield a run of three images; delete its dataset afterwards."""
    (tmp_path / "photos").mkdir()
    for name in "abc":
        Image.new("RGB", (60, 40)).save(tmp_path / "photos" / f"{name}.png")
    annotate(tmp_path, make_manifest(), labels())
    yield tmp_path / "out"
    import fiftyone as fo

    fo.delete_datasets("frozenseg-*")
