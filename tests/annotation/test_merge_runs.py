"""A folder of images that several machines label in parts; the parts are joined afterwards."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frozenseg_label import AnnotateSummary, annotate, merge_runs, parse_classes
from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.cli import main
from frozenseg_label.errors import FormatError, RunError
from frozenseg_label.model import builders
from frozenseg_label.part import Part
from frozenseg_label.runs.manifest import read_manifest, write_manifest
from frozenseg_label.runs.opening import hold_lock
from frozenseg_label.runs.run_folder import RunFolder
from tests.conftest import build_tiny_frozenseg

NAMES = ("a.png", "x.bmp", "x.png", "below/x.png", "below/y.png", "q.bmp", "u.png", "y.jpg")
BROKEN = "broken.png"
PARTS = ("part1", "part2", "part3")
EVERYTHING: dict[str, Any] = {
    "formats": ["class-png", "per-class-png", "overlay"],
    "semantic": True,
    "keep_proposals": True,
}
DATED = ("date_created", "time", "seconds", "created", "updated", "assembled")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with weights, pictures of noise (two with one stem), and one that is no picture."""
    place = tmp_path_factory.mktemp("machines")
    rng = np.random.default_rng(0)
    for name in NAMES:
        path = place / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(path)
    (place / "images" / BROKEN).write_bytes(b"no picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(builders.BUILDERS, "tiny", build_tiny_frozenseg)
        patch.setenv("FROZENSEG_LABEL_CACHE", str(place / "cache"))
        patch.chdir(place)
        categories = [TrainingCategory(names=("cat",), is_thing=True)]
        save_checkpoint(Path("tiny.safetensors"), build_tiny_frozenseg(), "tiny", categories)
        yield place


@pytest.fixture(scope="module")
def made(place: Path) -> Path:
    """The same folder, with the three shards of a run."""
    for number, part in enumerate(PARTS, start=1):
        label(part, shard=f"{number}/3", **EVERYTHING)
    return place


@pytest.fixture
def parts(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of the shards, in a working folder of the test's own."""
    for part in PARTS:
        shutil.copytree(made / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(made / "images")
    (tmp_path / "tiny.safetensors").symlink_to(made / "tiny.safetensors")


def label(output: str | Path, **options: Any) -> AnnotateSummary:  # noqa: ANN401 - of `annotate`
    words = parse_classes("cat|kitten, dog, sky:stuff")
    return annotate(Path("images").resolve(), output, words, weights="tiny.safetensors", **options)


def panoptic_json(output: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(output, "panoptic.json").read_text())
    return content


def review(folder: str, note: str = "a cat?") -> str:
    """Judge the segments of the image that has most; return its name. The first is refused."""
    with RunFolder.open_to_correct(Path(folder)) as run:
        labelled = [entry for entry in run.entries() if entry.labels is not None]
        entry = max(labelled, key=lambda row: len(run.read_map(row.image).segments))
        panoptic = run.read_map(entry.image)
        judged = [replace(segment, state="accepted") for segment in panoptic.segments]
        judged[0] = replace(judged[0], state="rejected")
        corrected = replace(panoptic, segments=tuple(judged))
        run.correct(run.record(entry), corrected, state="reviewed", user="Anna", note=note)
        run.finish()
    return entry.image


def files_of(folder: str | Path) -> dict[str, bytes]:
    """Return the content of a run's files but those with times in them."""
    timed = ("lock", "run.json", "journal.jsonl", "panoptic.json", "failures.jsonl")
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name not in timed
    }


def untimed(rows: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON without the moments at which it was made."""
    if isinstance(rows, dict):
        return {name: untimed(value) for name, value in rows.items() if name not in DATED}
    return [untimed(row) for row in rows] if isinstance(rows, list) else rows


def test_shards_label_every_image_once_with_the_names_of_a_whole_run(parts: None) -> None:
    images = [image["file_name"] for part in PARTS for image in panoptic_json(part)["images"]]
    assert sorted(images) == sorted(NAMES)
    (failure,) = (line for part in PARTS for line in Path(part).glob("failures.jsonl"))
    assert json.loads(failure.read_text())["image"] == BROKEN


def test_a_shard_goes_on_by_the_same_command_and_counts_only_its_images(parts: None) -> None:
    again = label("part1", shard="1/3", dry_run=True, **EVERYTHING)
    assert 0 < again.skipped < len(NAMES)
    assert again.estimate is None


def test_a_shard_without_images_is_a_run_of_none(parts: None) -> None:
    tiny = [Part(k, 40) for k in range(1, 41)]
    empty = next(part for part in tiny if not any(map(part.has, (*NAMES, BROKEN))))
    assert label("out", shard=f"{empty}").labelled == 0
    assert panoptic_json("out")["images"] == []


def test_two_shards_in_one_folder_are_refused_at_once_and_later(parts: None) -> None:
    own = "give each shard a folder of its own, and join them with `annotate --merge`"
    for dry_run in (False, True):
        with pytest.raises(RunError, match=f"part1 holds shard 1/3, not 2/3; {own}"):
            label("part1", shard="2/3", dry_run=dry_run, **EVERYTHING)
    with hold_lock(Path("part1")), pytest.raises(RunError, match=f"in use by process.*{own}"):
        label("part1", shard="2/3", **EVERYTHING)


def test_the_joined_shards_are_the_run_of_one_machine(parts: None) -> None:
    whole = label("whole", **EVERYTHING)
    joined = merge_runs(PARTS, "joined")
    assert (joined.labelled, joined.failed) == (whole.labelled, whole.failed) == (len(NAMES), 1)
    assert joined.segments == whole.segments
    assert joined.failures == whole.failures
    assert Path("joined/panoptic/x.png.png").exists()  # x.png is the PNG of x.bmp
    assert files_of("joined") == files_of("whole")
    assert untimed(panoptic_json("joined")) == untimed(panoptic_json("whole"))
    manifests = [json.loads(Path(run, "run.json").read_text()) for run in ("joined", "whole")]
    assert untimed(manifests[0]) == untimed(manifests[1])
    with RunFolder.read("joined") as one, RunFolder.read("whole") as other:
        for ours, theirs in zip(one.entries(), other.entries(), strict=True):
            assert untimed(ours.model_dump()) == untimed(theirs.model_dump())
            assert str(one.read_embeddings(ours)) == str(other.read_embeddings(theirs))
    assert label("joined", **EVERYTHING).skipped == len(NAMES)  # it goes on as a run of all images


def test_runs_that_were_made_in_two_precisions_are_joined_and_the_run_says_so(
    parts: None, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = read_manifest(Path(PARTS[0]))
    assert manifest.precisions == ("fp32",)
    write_manifest(Path(PARTS[0]), manifest.model_copy(update={"precisions": ("bf16",)}))
    merge_runs(PARTS, "all")
    assert read_manifest(Path("all")).precisions == ("bf16", "fp32")
    assert any("made in bf16 and fp32" in message for message in caplog.messages)


def test_reviews_come_along_with_their_history_and_what_the_model_had_said(parts: None) -> None:
    images = {part: review(part) for part in PARTS}
    merge_runs(PARTS, "joined")
    for part, image in images.items():
        with RunFolder.read("joined") as joined, RunFolder.read(part) as source:
            entry, there = joined.entry(image), source.entry(image)
            assert entry is not None
            assert there is not None
            assert (entry.user, entry.labels) == ("Anna", there.labels)
            assert joined.read_map(image).segments == source.read_map(image).segments
            assert joined.read_proposed(image).segments == source.read_proposed(image).segments
            events = [row.event for _, row in joined.history() if row.image == image]
            assert events == ["annotated", "reviewed"]
            assert joined.read_kept(entry) == source.read_kept(there)


def test_the_same_merge_does_nothing_and_a_later_one_brings_what_is_new(parts: None) -> None:
    assert merge_runs(PARTS[:2], "joined").labelled > 0
    before = files_of("joined")
    again = merge_runs(PARTS[:2], "joined")
    assert (again.labelled, again.skipped) == (0, len(panoptic_json("joined")["images"]))
    assert files_of("joined").keys() == before.keys()

    corrected_here = review("joined")
    with RunFolder.read("joined") as run:
        kept = run.entry(corrected_here)
    assert merge_runs(PARTS, "joined").labelled == len(panoptic_json("part3")["images"])
    with RunFolder.read("joined") as run:
        assert run.entry(corrected_here) == kept
        labelled = [row.image for row in run.entries() if row.labels is not None]
    assert sorted(labelled) == sorted(NAMES)


def test_an_image_that_was_corrected_since_comes_again_with_all_its_files(parts: None) -> None:
    merge_runs(PARTS, "joined")
    for part in PARTS:
        review(part)
    assert merge_runs(PARTS, "joined").labelled == len(PARTS)
    merge_runs(PARTS, "at once")
    made = [files_of(run) for run in ("joined", "at once")]
    for files in made:
        del files["summary.json"]  # how many images came with the last merge
        shards = [name for name in files if name.startswith("embeddings")]
        assert [files.pop(name) for name in shards]  # the order and the number of records
    assert made[0] == made[1]
    assert untimed(panoptic_json("joined")) == untimed(panoptic_json("at once"))


def test_a_merge_that_is_killed_goes_on_by_the_same_command(parts: None) -> None:
    review("part2")
    program = """if True:
        import os, sys
        from frozenseg_label import merge_runs
        from frozenseg_label.runs.joined_run import JoinedRun

        images, append = [], JoinedRun._append

        def append_or_die(run, source, rows):
            images.append(source)
            if len(rows) > 1 and len(images) > 1:
                run._journal.append(rows[0])
                os.kill(os.getpid(), 9)
            append(run, source, rows)

        JoinedRun._append = append_or_die
        merge_runs(sys.argv[1:], "joined")
    """
    died = subprocess.run([sys.executable, "-c", program, *PARTS], capture_output=True, check=False)
    assert died.returncode == -9, died.stderr
    assert not Path("joined/panoptic.json").exists()
    merge_runs(PARTS, "joined")
    merge_runs(PARTS, "at once")
    made = [files_of(run) for run in ("joined", "at once")]
    for files in made:
        del files["summary.json"]  # how many images came with the last merge
    assert made[0] == made[1]
    assert untimed(panoptic_json("joined")) == untimed(panoptic_json("at once"))


def test_runs_that_do_not_belong_together_are_refused(parts: None) -> None:
    label("other", shard="2/3", min_score=0.1)
    with pytest.raises(RunError, match=r"other was made with other min_score .* than part1; join"):
        merge_runs(["part1", "other"], "joined")
    manifest = json.loads(Path("part2/run.json").read_text())
    Path("part2/run.json").write_text(json.dumps(manifest | {"root": "/elsewhere"}))
    with pytest.raises(RunError, match=r"part1 has labels of the images in .*images, and part2 of"):
        merge_runs(["part1", "part2"], "joined")
    with pytest.raises(RunError, match="and not itself"):
        merge_runs(["part1"], "part1")
    with pytest.raises(RunError, match="there is no such folder"):
        merge_runs(["part1", "part9"], "joined")
    with hold_lock(Path("part1")), pytest.raises(RunError, match="part1 is in use"):
        merge_runs(["part1"], "joined")
    assert not Path("joined").exists()


def test_one_image_with_two_labels_is_refused_and_with_the_same_labels_comes_once(
    parts: None,
) -> None:
    shutil.copytree("part1", "copy")
    images = len(panoptic_json("part1")["images"])
    assert merge_runs(["part1", "copy"], "joined").labelled == images
    image = review("copy")
    with pytest.raises(RunError, match=f"{image} has other labels in part1 than in copy"):
        merge_runs(["part1", "copy"], "again")
    review("joined", note="a dog!")
    with pytest.raises(RunError, match=f"{image} has other labels in copy than in joined"):
        merge_runs(["copy"], "joined")


def test_a_damaged_label_file_stops_the_merge_and_is_named(parts: None) -> None:
    png = next(Path("part1/panoptic").rglob("*.png"))
    whole = png.read_bytes()
    png.write_bytes(whole[:-3])
    with pytest.raises(FormatError, match=f"{png.name}: is not the file whose hash was recorded"):
        merge_runs(["part1"], "joined")
    png.write_bytes(whole)
    assert merge_runs(["part1"], "joined").labelled > 0


def test_the_command_merges_names_missing_shards_and_refuses_what_labels(
    parts: None, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["annotate", "--merge", "part1", "-o", "joined"]) in (0, 3)
    assert "shards 2/3, 3/3 are missing" in caplog.text
    assert "review joined --html" in capsys.readouterr().out
    assert main(["annotate", "--merge", "part1", "-o", "joined", "--vocab", "coco"]) == 2
    assert "--vocab has no place beside --merge" in capsys.readouterr().err
