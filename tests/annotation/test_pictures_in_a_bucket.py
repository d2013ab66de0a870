"""`annotate` of pictures in an S3 bucket: a server of its own answers like Amazon's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from frozenseg_label import (
    AnnotateSummary,
    annotate,
    export_labels,
    merge_runs,
    parse_classes,
    review_page,
)
from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.cli import main
from frozenseg_label.errors import ImageError, RunError, TrainingError
from frozenseg_label.model import builders
from frozenseg_label.review.app.pictures import remedy_for_pictures
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.training.data.labelled_images import read_labelled_images
from tests.conftest import build_tiny_frozenseg

NAMES = ("a.png", "below/b.png", "c.jpg")
PHOTOS = "s3://bucket/photos"


@pytest.fixture
def bucket(
    s3: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[fsspec.AbstractFileSystem]:
    """A bucket with three pictures and a broken one; `images` has the same files."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(path)
    (tmp_path / "images" / "broken.png").write_bytes(b"no picture")
    s3.mkdir("bucket")
    s3.put(f"{tmp_path / 'images'}", "bucket/photos", recursive=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny_frozenseg)
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    categories = [TrainingCategory(names=("cat",), is_thing=True)]
    save_checkpoint(Path("tiny.safetensors"), build_tiny_frozenseg(), "tiny", categories)
    yield s3
    s3.rm("bucket", recursive=True)


def label(images: str, output: str, **options: Any) -> AnnotateSummary:  # noqa: ANN401
    words = parse_classes("cat|kitten, dog, sky:stuff")
    return annotate(images, output, words, weights="tiny.safetensors", **options)


def pngs(output: str) -> dict[str, bytes]:
    folder = Path(output, "panoptic")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


def test_pictures_in_a_bucket_get_the_labels_that_files_get(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    from_files = label("images", "files", formats=["overlay"])
    from_bucket = label(PHOTOS, "out", formats=["overlay"])
    assert from_bucket.labelled == from_files.labelled == len(NAMES)
    (failure,) = from_bucket.failures
    assert failure.image == "broken.png"
    assert f"{PHOTOS}/broken.png: cannot be read as an image" in failure.reason
    assert pngs("out") == pngs("files")
    assert len(list(Path("out/overlay").rglob("*.jpg"))) == len(NAMES)
    assert json.loads(Path("out/run.json").read_text())["root"] == PHOTOS


def test_the_same_command_does_what_has_changed_in_the_bucket(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    assert label(PHOTOS, "out", limit=2).labelled == 2
    assert label(PHOTOS, "out").labelled == 1
    again = label(PHOTOS, "out")
    assert (again.labelled, again.skipped, again.failed) == (0, len(NAMES), 1)
    pixels = np.zeros((32, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("new.png")
    bucket.put("new.png", "bucket/photos/a.png")
    bucket.put("images/a.png", "bucket/photos/broken.png")
    mended = label(PHOTOS, "out")
    assert (mended.labelled, mended.skipped, mended.failed) == (2, 2, 0)


def test_shards_of_a_bucket_join_to_one_run(bucket: fsspec.AbstractFileSystem) -> None:
    for k in (1, 2):
        label(PHOTOS, f"part{k}", shard=f"{k}/2")
    assert merge_runs(["part1", "part2"], "joined").labelled == len(NAMES)
    assert label(PHOTOS, "joined").skipped == len(NAMES)


def test_pictures_that_were_copied_to_a_folder_keep_their_labels(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    label(PHOTOS, "out")
    Path("copied").mkdir()
    bucket.get("bucket/photos", "copied", recursive=True)
    folder = "copied/photos" if Path("copied/photos").is_dir() else "copied"
    done = label(folder, "out")
    assert (done.labelled, done.skipped) == (0, len(NAMES))
    with RunFolder.read("out") as run:
        assert run.picture("a.png") == Path(folder).resolve() / "a.png"


def test_a_page_of_the_review_shows_pictures_of_the_bucket(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    label(PHOTOS, "out")
    bucket.rm("bucket/photos/a.png")
    page = review_page("out", "page")
    assert page.images == len(NAMES)
    shown = list(Path("page").rglob("*.jpg"))
    assert len(shown) == len(NAMES) - 1


def test_what_needs_files_says_how_to_get_them(bucket: fsspec.AbstractFileSystem) -> None:
    label(PHOTOS, "out")
    with RunFolder.open_to_correct(Path("out")) as run:
        assert f"copy the pictures from {PHOTOS} to a folder" in remedy_for_pictures(run)
        entry = next(run.entries())
        run.correct(run.record(entry), run.read_map(entry.image), state="reviewed")
    with pytest.raises(TrainingError, match=r"names no folder of its pictures; name .* --images"):
        read_labelled_images(Path("out"), None)
    with pytest.raises(ImageError, match=r"3 pictures are not found.* name their folder with --im"):
        export_labels("out", "yolo", "yolo-seg")


def test_missing_buckets_and_keys_are_told_in_a_sentence(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageError, match="s3://absent/photos: there is no such file, folder or"):
        label("s3://absent/photos", "out")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    type(bucket).clear_instance_cache()
    with pytest.raises(ImageError, match=r"access is refused .*AWS_ACCESS_KEY_ID"):
        label(PHOTOS, "out")
    monkeypatch.undo()
    type(bucket).clear_instance_cache()
    assert not Path("out").exists()


def test_a_run_folder_in_a_bucket_is_refused() -> None:
    with pytest.raises(RunError, match="a run folder lies on a file system"):
        label("images", "s3://bucket/out")
    with pytest.raises(RunError, match="a run folder lies on a file system"):
        merge_runs(["part1"], "s3://bucket/out")


def test_the_command_takes_addresses(
    bucket: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--classes", "cat", "--weights", "tiny.safetensors", "--json"]
    assert main(["annotate", PHOTOS, "-o", "out", *options]) == 3
    Path("list.txt").write_text("".join(f"{PHOTOS}/{name}\n" for name in NAMES))
    assert main(["annotate", "--from-list", "list.txt", "-o", "listed", *options]) == 0
    assert pngs("listed") == pngs("out")
