"""A whole training from labels to report: its files, what it refuses and what it survives."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from frozenseg_label import annotate, import_labels, train
from frozenseg_label.checkpoints.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    verify_checkpoint,
)
from frozenseg_label.checkpoints.header import read_checkpoint_info
from frozenseg_label.errors import CheckpointError, FrozenSegLabelError, TrainingError
from frozenseg_label.files import MARKER
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.loop.state import states
from frozenseg_label.training.settings import read_settings
from frozenseg_label.training.train import TrainSummary
from frozenseg_label.vocabulary_files import parse_classes

SMALL = ("batch_size=1", "num_points=64", "log_every=1", "held_out=0.3", "crop_size=64")

Learn = Callable[..., TrainSummary]


@pytest.fixture
def learn(tiny_weights: Path, tmp_path: Path) -> Learn:
    """Return `train` with the tiny weights, three steps and `tmp_path / "out"` as its defaults."""

    def call(
        labels: Path | Sequence[Path],
        *changes: str,
        **options: Any,  # noqa: ANN401 - those of `train`, with its types
    ) -> TrainSummary:
        given = {"weights": tiny_weights, "max_steps": 3, "output": tmp_path / "out", **options}
        return train(labels, settings=[*SMALL, *changes], **given)

    return call


@pytest.fixture
def labels(scenes: Mapping[str, Path], tmp_path: Path) -> Path:
    """Return a COCO panoptic set that a test may damage."""
    return Path(shutil.copytree(scenes["first"], tmp_path / "labels"))


def read_log(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def change_json(labels: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = read_json(labels / "panoptic.json")
    change(content)
    (labels / "panoptic.json").write_text(json.dumps(content))


def changes_of_files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@contextmanager
def stopped_after(
    rows: int, folder: Path, number: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    """Send this process a signal when the log of a training has a number of rows."""
    ended = threading.Event()

    def watch() -> None:
        log = folder / "log.jsonl"
        while not ended.is_set():
            if log.exists() and len(log.read_text().splitlines()) >= rows:
                os.kill(os.getpid(), number)
                return
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


# What it writes


def test_a_training_leaves_all_that_is_needed_to_use_repeat_and_judge_it(
    learn: Learn, scenes: Mapping[str, Path], tiny_weights: Path, tmp_path: Path
) -> None:
    result = learn(scenes["first"], probe=scenes["probe"])
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        MARKER,
        "best.safetensors",
        "curves.png",
        "last.safetensors",
        "log.jsonl",
        "report.json",
        "settings.yaml",
        "state-00000003",
        "tensorboard",
        "training.json",
    ]
    assert list((out / "tensorboard").iterdir())
    resolved = read_settings("fine_tune", SMALL).with_steps(3)
    assert read_settings(out / "settings.yaml") == resolved
    assert [row["step"] for row in read_log(out) if "loss" in row] == [1, 2, 3]
    report = read_json(out / "report.json")
    assert report["table"] == [dataclasses.asdict(row) for row in result.table]
    assert report["forgetting"] == result.forgetting == 0.0
    assert {row.images for row in result.table} == {"held out", "probe"}
    assert (result.steps, result.skipped, result.stopped) == (3, 0, False)
    assert result.checkpoint == out / "best.safetensors"
    before = read_checkpoint_info(tiny_weights)
    for path in (out / "best.safetensors", out / "last.safetensors"):
        verify_checkpoint(path)
        info = read_checkpoint_info(path)
        assert (info.clip_hash, info.sam_hash) == (before.clip_hash, before.sam_hash)
        assert info.decoder_hash != before.decoder_hash
        assert info.seen_names >= {"fox", *report["classes"]}  # old names and new ones


def test_corrections_of_a_run_folder_teach_and_the_new_weights_label_it_again(
    learn: Learn, scenes: Mapping[str, Path], tiny_weights: Path, tmp_path: Path
) -> None:
    run, pictures = tmp_path / "run", scenes["first"] / "images"
    annotate(pictures, run, "stickers", weights=tiny_weights)
    with pytest.raises(TrainingError, match="no segment that a person accepted or drew"):
        learn(run)
    assert not (tmp_path / "out").exists()
    import_labels(run, scenes["first"])
    result = learn([run, scenes["second"]])  # beside another set
    record = read_json(tmp_path / "out" / "training.json")
    assert record["train"] + record["held_out"] == 8
    assert record["sources"] == [str(run), str(scenes["second"])]
    again = annotate(pictures, tmp_path / "again", "stickers", weights=result.checkpoint)
    assert (again.labelled, again.failed) == (5, 0)


@pytest.mark.parametrize("recipe", ["fine_tune_cached", "head_only"])
def test_recipes_with_a_cache_fill_it_once(
    learn: Learn,
    scenes: Mapping[str, Path],
    tmp_path: Path,
    recipe: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "frozenseg_label")
    kept = tmp_path / "kept"
    learn(scenes["first"], recipe=recipe, cache_folder=kept)
    assert "images to be kept: about" in caplog.text
    files = changes_of_files(kept)
    assert files
    caplog.clear()
    learn(scenes["first"], recipe=recipe, cache_folder=kept, output=tmp_path / "second")
    assert "to be kept" not in caplog.text
    assert changes_of_files(kept) == files
    assert read_log(tmp_path / "second") == read_log(tmp_path / "out")


def test_one_class_only_trains_and_is_told(
    learn: Learn, labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def keep_one_class(content: dict[str, Any]) -> None:
        for annotation in content["annotations"]:
            first, *others = annotation["segments_info"]
            first["category_id"] = content["annotations"][0]["segments_info"][0]["category_id"]
            for segment in others:
                segment["state"] = "proposed"

    change_json(labels, keep_one_class)
    assert not learn(labels, trust_states=True).stopped
    assert "there is one class only" in caplog.text


def test_without_a_probe_it_is_said_that_forgetting_is_not_measured(
    learn: Learn, scenes: Mapping[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    assert learn(scenes["first"], max_forgetting=-100.0).forgetting is None
    assert "what the model forgets is not measured; give --probe" in caplog.text


def test_a_probe_of_images_that_are_trained_on_is_told(
    learn: Learn, scenes: Mapping[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    learn(scenes["second"], "held_out=0", probe=scenes["second"], max_steps=1)
    assert "3 of its 3 images are trained on as well" in caplog.text


# Stopping and going on


def test_a_training_stopped_by_ctrl_c_goes_on_bit_for_bit(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path
) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    options = {"max_steps": 12, "probe": scenes["probe"]}
    saved = ("save_every=5", "evaluate_every=4")
    learn(scenes["first"], *saved, output=straight, **options)
    with stopped_after(3, stopped, signal.SIGINT):
        result = learn(scenes["first"], *saved, output=stopped, **options)
    assert result.stopped
    assert 3 <= result.steps < 12
    assert result.checkpoint is None
    assert states(stopped)[-1].name == f"state-{result.steps:08d}"
    end = learn(scenes["first"], *saved, output=stopped, resume=True, **options)
    assert end.steps == 12
    assert read_log(stopped) == read_log(straight)
    for name in ("last.safetensors", "best.safetensors"):
        one, other = load_file(straight / name), load_file(stopped / name)
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)
    assert read_json(stopped / "report.json") == read_json(straight / "report.json")


@pytest.fixture
def half_done(learn: Learn, scenes: Mapping[str, Path], tmp_path: Path) -> Path:
    """Return a training that was stopped."""
    with stopped_after(1, tmp_path / "out"):
        assert learn(scenes["first"], max_steps=40).stopped
    return tmp_path / "out"


def test_a_second_start_or_one_with_something_else_is_refused_and_says_why(
    learn: Learn,
    scenes: Mapping[str, Path],
    half_done: Path,
    build_tiny: Callable[[], FrozenSeg],
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingError, match="has a training already; give --resume to go on"):
        learn(scenes["first"], max_steps=40)
    before = changes_of_files(half_done)
    go_on = {"max_steps": 40, "resume": True}
    with pytest.raises(TrainingError, match=r"other labels \(4 \+ 1 images there, 5 \+ 3 now"):
        learn([scenes["first"], scenes["second"]], **go_on)
    with pytest.raises(TrainingError, match=r"other seed \(0 there, 3 now\)"):
        learn(scenes["first"], "seed=3", **go_on)
    with pytest.raises(TrainingError, match="other probe set; resume it with the same"):
        learn(scenes["first"], probe=scenes["probe"], **go_on)
    other = build_tiny()
    other.void_embedding.data += 1.0
    save_checkpoint(tmp_path / "other.safetensors", other, "tiny", [])
    with pytest.raises(TrainingError, match=r"other weights \(.*tiny.safetensors there, .*other"):
        learn(scenes["first"], weights=tmp_path / "other.safetensors", **go_on)
    assert changes_of_files(half_done) == before


def test_a_finished_training_is_told_and_stays_as_it_is(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "frozenseg_label")
    result = learn(scenes["first"], probe=scenes["probe"])
    before = changes_of_files(tmp_path / "out")
    again = learn(scenes["first"], probe=scenes["probe"], resume=True)
    assert "this training is finished already; nothing to do" in caplog.text
    assert changes_of_files(tmp_path / "out") == before
    assert dataclasses.replace(again, seconds=0) == dataclasses.replace(result, seconds=0)

    log = read_log(tmp_path / "out")  # killed before its report: it gets one without further steps
    (tmp_path / "out" / "report.json").unlink()
    again = learn(scenes["first"], probe=scenes["probe"], resume=True)
    assert again.table == result.table
    assert read_log(tmp_path / "out") == log


# Bad input


def test_everything_that_is_wrong_with_the_labels_is_told_at_once(
    learn: Learn, labels: Path, tmp_path: Path
) -> None:
    (labels / "panoptic" / "demo-0000.png").unlink()
    (labels / "images" / "demo-0001.png").unlink()
    Image.new("RGB", (32, 16)).save(labels / "images" / "demo-0002.png")

    def forget_a_segment(content: dict[str, Any]) -> None:
        content["annotations"][3]["segments_info"].pop()

    change_json(labels, forget_a_segment)
    with pytest.raises(TrainingError) as caught:
        learn(labels)
    said = str(caught.value)
    assert f"{labels / 'panoptic' / 'demo-0000.png'} is missing" in said
    assert f"{labels / 'images' / 'demo-0001.png'}: cannot be read, no such file" in said
    assert "demo-0002.png: 32 x 16 pixels, but its labels are for 64 x 64" in said
    assert "demo-0003.png: ids [" in said
    assert "in the PNG, not in the list of segments" in said
    assert "Mend them where they were made" in said
    assert not (tmp_path / "out").exists()


def test_all_classes_that_the_vocabulary_lost_are_told_with_their_images(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path
) -> None:
    learn(scenes["first"])
    classes = sorted(read_json(tmp_path / "out" / "report.json")["classes"])
    lost, kept = classes[:3], classes[3:]
    few = parse_classes(", ".join([*kept, "unheard-of"]))
    with pytest.raises(TrainingError) as caught:
        learn(scenes["first"], vocabulary=few, output=tmp_path / "second")
    said = str(caught.value)
    lines = [line for line in said.splitlines() if "is not in the vocabulary" in line]
    assert all(any(f"{name!r}" in line and "demo-000" in line for line in lines) for name in lost)
    assert not (tmp_path / "second").exists()


def test_all_label_sets_are_read_before_one_is_refused(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "none.txt").write_text("no labels")
    sources = [tmp_path / "none.txt", scenes["first"], tmp_path / "broken.json"]
    with pytest.raises(TrainingError, match=r"(?s)none\.txt is none: a run folder .*broken\.json"):
        learn(sources)


@pytest.mark.parametrize("state", ["proposed", "rejected"])
def test_labels_that_nobody_owns_are_refused(
    learn: Learn, labels: Path, tmp_path: Path, state: str
) -> None:
    def change(content: dict[str, Any]) -> None:
        for annotation in content["annotations"]:
            for segment in annotation["segments_info"]:
                segment["state"] = state

    change_json(labels, change)
    with pytest.raises(FrozenSegLabelError, match=r"correct some labels first|panoptic\.json"):
        learn(labels, trust_states=True)
    assert not (tmp_path / "out").exists()


def test_a_picture_that_breaks_while_training_is_named_skipped_and_counted(
    learn: Learn, labels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = labels / "images" / "demo-0003.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])  # the header is checked first; it is whole
    result = learn(labels, "held_out=0", max_steps=6)
    assert (result.steps, result.skipped) == (6, 1)
    assert caplog.text.count("skipped:") == 1
    assert str(picture) in caplog.text
    [reason] = read_json(tmp_path / "out" / "report.json")["skipped"]
    assert str(picture) in reason


def test_pictures_that_all_break_end_the_training(learn: Learn, labels: Path) -> None:
    for picture in (labels / "images").iterdir():
        picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(TrainingError, match="none of the 5 images can be read any more"):
        learn(labels, "held_out=0")


def test_a_loss_that_is_no_number_stops_with_names_and_keeps_what_there_is(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path
) -> None:
    changes = ("learning_rate=1e30", "save_every=1", "evaluate_every=1", "warm_up=0")
    with pytest.raises(TrainingError, match=r"step 2: the loss of demo-000\d\.png, or its grad"):
        learn(scenes["first"], *changes)
    out = tmp_path / "out"
    assert [path.name for path in states(out)] == ["state-00000001"]
    load_checkpoint(out / "best.safetensors")
    assert not (out / "report.json").exists()


def test_weights_that_are_no_numbers_are_told_before_the_first_step(
    learn: Learn, scenes: Mapping[str, Path], build_tiny: Callable[[], FrozenSeg], tmp_path: Path
) -> None:
    model = build_tiny()
    model.transformer_decoder.query_features.data[:] = np.nan
    save_checkpoint(tmp_path / "poisoned.safetensors", model, "tiny", [])
    with pytest.raises(CheckpointError, match=r"poisoned\.safetensors: transformer_decoder\.query"):
        learn(scenes["first"], weights=tmp_path / "poisoned.safetensors")


def test_weights_that_cannot_be_trained_are_refused(
    learn: Learn, scenes: Mapping[str, Path], build_tiny: Callable[[], FrozenSeg], tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "strange.safetensors", build_tiny(), "unheard-of", [])
    with pytest.raises(CheckpointError, match="the model 'unheard-of', which this version does"):
        learn(scenes["first"], weights=tmp_path / "strange.safetensors")
    save_checkpoint(tmp_path / "mixed.safetensors", build_tiny(), "nano", [])
    with pytest.raises(CheckpointError, match="holds another model or is not whole"):
        learn(scenes["first"], weights=tmp_path / "mixed.safetensors")
    save_file({"x": np.zeros(1)}, tmp_path / "any.safetensors")
    with pytest.raises(CheckpointError, match=r"any\.safetensors"):
        learn(scenes["first"], weights=tmp_path / "any.safetensors")
    assert not (tmp_path / "out").exists()


def test_settings_that_do_not_fit_the_model_leave_nothing_behind(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="crop_size must be a multiple of 32, got 33"):
        learn(scenes["first"], "crop_size=33")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("mine")
    with pytest.raises(TrainingError, match="is not the folder of a training, and it is not empty"):
        learn(scenes["first"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["diary.txt"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process write no larger files, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("room", "what"),
    [
        (500_000, r"state-000000\d\d cannot be written .*; .*state-000000\d\d is kept; make room"),
        (2_000_000, r"best\.safetensors: cannot be written, .*; make room"),
    ],
    ids=["state", "checkpoint"],
)
def test_a_full_disk_is_told_and_what_was_saved_is_taken_up_again(
    learn: Learn, scenes: Mapping[str, Path], tmp_path: Path, room: int, what: str
) -> None:
    every = 100 if "state" in what else 3
    changes, out = ("save_every=3", f"evaluate_every={every}"), tmp_path / "out"
    with stopped_after(4, out):
        learn(scenes["first"], *changes, max_steps=15)
    [saved] = states(out)
    content = {path: path.read_bytes() for path in (*saved.iterdir(), *out.glob("best*"))}
    with files_of_at_most(room), pytest.raises(FrozenSegLabelError, match=what):
        learn(scenes["first"], *changes, max_steps=15, resume=True)
    assert {path: path.read_bytes() for path in content} == content
    assert [path.name for path in out.glob(".*")] == [MARKER]
    assert learn(scenes["first"], *changes, max_steps=15, resume=True).steps == 15
