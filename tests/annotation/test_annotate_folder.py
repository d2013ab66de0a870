"""The Python function says what it does not take, before it writes anything."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frozenseg_label import annotate, review_page, write_demo
from frozenseg_label.annotation.annotate_folder import _still_unreadable
from frozenseg_label.annotation.progress import doubts
from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import HEADER_KEY, TrainingCategory, read_header
from frozenseg_label.checkpoints.tensor_file import read_tensors, write_tensors
from frozenseg_label.images import ImageRecord
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.runs.plan import Plan


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("precision", "fp16"),
        ("limit", 0),
        ("batch_size", 0),
        ("max_pixels", -1),
        ("min_score", 1.5),
        ("min_score", float("nan")),
        ("max_failure_rate", -0.1),
        ("engine", "slurm"),
        ("ray_actors", 0),
        ("ray_gpus", 1.5),
        ("formats", "class-png"),
        ("formats", ["class-png", "yolo"]),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_value(
    tmp_path: Path,
    argument: str,
    value: Any,  # noqa: ANN401 - of any type, that is the point
) -> None:
    told = value[-1] if isinstance(value, list) else value
    with pytest.raises(ValueError, match=f"{argument} .*{told}"):
        annotate(tmp_path, tmp_path / "out", "stickers", **{argument: value})
    assert not list(tmp_path.iterdir())


def test_weights_for_drawings_warn_once_of_pictures_that_demo_did_not_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (picture,) = write_demo(tmp_path / "images", count=1, size=64)
    labels = tmp_path / "labels"
    assert annotate(tmp_path / "images", labels, "stickers").warnings == ()
    assert not [message for message in caplog.messages if "drawings" in message]
    assert json.loads((labels / "summary.json").read_text())["warnings"] == []
    for name in ("b.png", "c.png"):  # the same pixels, written by another program
        Image.open(picture).save(tmp_path / "images" / name)
    assert annotate(tmp_path / "images", labels, "stickers", dry_run=True).warnings
    done = annotate(tmp_path / "images", labels, "stickers")
    (warning,) = [message for message in caplog.messages if "drawings" in message]
    assert "weights nano" in warning
    assert "weights fetch convnext-large" in warning
    assert json.loads((labels / "summary.json").read_text())["warnings"] == [warning]
    assert done.warnings == (warning,)
    page = review_page(labels, tmp_path / "page").path.read_text()
    assert "Beware: the weights nano are made for drawings" in page


def test_weights_that_do_not_say_what_they_are_for_warn_of_nothing(
    tmp_path: Path, tiny_frozenseg: FrozenSeg, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "old.safetensors"
    save_checkpoint(path, tiny_frozenseg, "tiny", [TrainingCategory(names=("cat",), is_thing=True)])
    header = read_header(path)[HEADER_KEY].replace(',"made_for":""', "")
    write_tensors(path, read_tensors(path), {HEADER_KEY: header})
    assert "made_for" not in read_header(path)[HEADER_KEY]
    photo = tmp_path / "photo.png"
    Image.new("RGB", (32, 32)).save(photo)
    assert doubts([ImageRecord(photo, "photo.png", 0, 0)], path) == ()


def test_of_images_that_fail_again_only_the_message_is_kept(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    records = []
    for number in range(5):
        path = tmp_path / f"torn-{number}.png"
        path.write_bytes(content[: len(content) // 2])
        records.append(ImageRecord(path, path.name, path.stat().st_size, path.stat().st_mtime_ns))
    plan = Plan(done=(), todo=tuple(records), failed=tuple(records))
    tracemalloc.start()
    try:
        kept = dict(_still_unreadable(plan, max_pixels=None))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) == len(records)
    assert size < records[0].size
