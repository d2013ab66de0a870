"""A folder of images that several machines label in parts; the parts are joined afterwards."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frozenseg_label import AnnotateSummary, annotate, parse_classes
from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.errors import RunError
from frozenseg_label.model import builders
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.part import Part
from frozenseg_label.runs.opening import hold_lock

NAMES = ("a.png", "b.bmp", "b.png", "below/a.png", "below/c.jpg", "d.png", "e.png", "f.jpg")
BROKEN = "broken.png"


@pytest.fixture(autouse=True)
def _tiny_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_tiny: Callable[[], FrozenSeg]
) -> None:
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny)
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    categories = [TrainingCategory(names=("cat",), is_thing=True)]
    save_checkpoint(Path("tiny.safetensors"), build_tiny(), "tiny", categories)


@pytest.fixture(autouse=True)
def _images(tmp_path: Path) -> None:
    """Write eight pictures of noise, two of them with one stem, and one that is no picture."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(path)
    (tmp_path / "images" / BROKEN).write_bytes(b"no picture")


def label(output: str, **options: Any) -> AnnotateSummary:  # noqa: ANN401 - those of `annotate`
    words = parse_classes("cat|kitten, dog, sky:stuff")
    return annotate("images", output, words, weights="tiny.safetensors", **options)


def panoptic_json(output: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(output, "panoptic.json").read_text())
    return content


def test_shards_label_every_image_once_with_the_names_of_a_whole_run() -> None:
    label("whole")
    counts = [label(f"part{k}", shard=f"{k}/3") for k in (1, 2, 3)]
    assert sum(count.labelled for count in counts) == len(NAMES)
    assert sum(count.failed for count in counts) == 1
    images = [image for k in (1, 2, 3) for image in panoptic_json(f"part{k}")["images"]]
    assert sorted(image["file_name"] for image in images) == sorted(NAMES)


def test_a_shard_goes_on_by_the_same_command_and_counts_only_its_images() -> None:
    first = label("part", shard="1/2", limit=1)
    second = label("part", shard="1/2")
    assert (first.labelled, second.skipped) == (1, 1)
    assert label("part", shard="1/2", dry_run=True).skipped == second.labelled + 1


def test_a_shard_without_images_is_a_run_of_none() -> None:
    parts = [Part(k, 40) for k in range(1, 41)]
    empty = next(part for part in parts if not any(map(part.has, (*NAMES, BROKEN))))
    assert label("out", shard=f"{empty}").labelled == 0
    assert panoptic_json("out")["images"] == []


def test_two_shards_in_one_folder_are_refused_at_once_and_later(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    own = "give each shard a folder of its own, and join them with `annotate --merge`"
    with hold_lock(tmp_path / "out"), pytest.raises(RunError, match=f"in use by process.*{own}"):
        label("out", shard="1/2")
    label("out", shard="1/2")
    for dry_run in (False, True):
        with pytest.raises(RunError, match=f"out holds shard 1/2, not 2/2; {own}"):
            label("out", shard="2/2", dry_run=dry_run)
    assert label("out").skipped + label("out").skipped > len(NAMES)  # one machine does the rest
