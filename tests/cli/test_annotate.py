"""`frozenseg-label annotate`, as a person at a terminal meets it, with a tiny random model."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.cli import main
from frozenseg_label.formats.coco_panoptic import read_panoptic_png
from frozenseg_label.model import builders
from frozenseg_label.model.frozenseg import FrozenSeg

CLASSES = "cat|kitten, dog, sky:stuff, grass:stuff"


@pytest.fixture(autouse=True)
def weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_tiny: Callable[[], FrozenSeg]
) -> Path:
    """A tiny checkpoint; text embeddings go to a cache of this test's own."""
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny)
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    categories = [TrainingCategory(names=("cat",), is_thing=True)]
    save_checkpoint(tmp_path / "tiny.safetensors", build_tiny(), "tiny", categories)
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three pictures of two shapes, in a folder and one below."""
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (64, 96)), ("b.jpg", (96, 64)), ("below/c.PNG", (64, 96))):
        pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def annotate(*options: str, classes: str = CLASSES) -> int:
    return main(
        [
            "annotate",
            "images",
            "--classes",
            classes,
            "--weights",
            "tiny.safetensors",
            "-o",
            "out",
            *options,
        ]
    )


def changed_files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "lock"}


def test_every_image_gets_its_labels(images: Path) -> None:
    assert annotate() == 0
    content = json.loads(Path("out/panoptic.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.jpg", "below/c.PNG"]
    assert [c["name"] for c in content["categories"]] == ["cat", "dog", "sky", "grass"]
    for annotation in content["annotations"]:
        ids = read_panoptic_png(Path("out/panoptic", annotation["file_name"]))
        in_json = {s["id"]: s["area"] for s in annotation["segments_info"]}
        assert in_json == {int(i): int((ids == i).sum()) for i in np.unique(ids) if i}
        assert all(s["source"].startswith("model:") for s in annotation["segments_info"])
        assert all(0 <= s["margin"] <= s["score"] <= 1 for s in annotation["segments_info"])


def test_the_last_line_is_the_command_that_shows_the_labels(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["images", "--classes", CLASSES, "--weights", "tiny.safetensors", "-o", "my labels"]
    assert main(["annotate", *options, "--limit", "1"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    command = "frozenseg-label review 'my labels' --html 'my labels-page'"
    assert last == f"look at them: {command}"
    assert main(shlex.split(command)[1:]) == 0
    assert (tmp_path / "my labels-page" / "index.html").is_file()
    capsys.readouterr()
    assert main(["annotate", *options, "--limit", "1", "-q"]) == 0
    assert "review" not in capsys.readouterr().out


def test_overlays_are_written_where_asked_for(images: Path) -> None:
    assert annotate("--format", "overlay") == 0
    for picture in ("a.jpg", "b.jpg", "below/c.jpg"):
        with Image.open(Path("out/overlay", picture)) as drawn:
            assert sorted(drawn.size) == [64, 96]


def test_json_has_paths_failures_and_what_the_labels_were_made_with(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(105):
        (images / f"empty-{number:03}.png").touch()
    assert annotate("--json", "--format", "class-png") == 3
    result = json.loads(capsys.readouterr().out)
    assert (result["labelled"], result["failed"]) == (3, 105)
    assert len(result["failures"]) == 100
    first = min(result["failures"], key=lambda row: row["image"])
    assert first["image"].startswith("empty-")
    assert "cannot be read as an image" in first["reason"]
    assert {"panoptic.json", "panoptic", "class-png", "failures.jsonl"} <= result["paths"].keys()
    assert all(Path(path).exists() for path in result["paths"].values())
    run = json.loads(Path("out/run.json").read_text())
    made_with = result["made_with"]
    assert made_with["weights"] == "tiny.safetensors"
    assert made_with["weights_fingerprint"] == run["weights"]["fingerprint"]
    assert made_with["vocabulary_fingerprint"] == run["vocabulary"]["fingerprint"]
    (images / "new.png").write_bytes((images / "a.png").read_bytes())
    assert annotate("--json", "--dry-run") == 3
    result = json.loads(capsys.readouterr().out)
    assert (result["failed"], len(result["failures"]), result["estimate"]["images"]) == (
        105,
        100,
        1,
    )
    assert result["made_with"] == made_with


def test_a_start_that_failed_binds_nobody_to_its_words(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert annotate("--device", "tpu", classes="wombat, lion") == 1
    assert annotate("--dry-run") == 0
    assert annotate() == 0
    content = json.loads(Path("out/panoptic.json").read_text())
    assert [c["name"] for c in content["categories"]] == ["cat", "dog", "sky", "grass"]
    assert len(content["images"]) == 3
    assert annotate(classes="wombat, lion") == 1
    assert "was made with other vocabulary" in capsys.readouterr().err


def test_where_nothing_was_found_the_next_step_is_told(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert annotate("--min-score", "1") == 0
    assert "no image has a segment: add words" in capsys.readouterr().out


def test_quietly_nothing_is_printed(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate("-q") == 0
    assert capsys.readouterr().out == ""


def annotate_list(*options: str) -> int:
    words = ["--classes", CLASSES, "--weights", "tiny.safetensors", "-o", "out"]
    return main(["annotate", *words, *options])


def test_files_of_a_list_are_labelled_and_missing_ones_are_failures(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.txt").write_text(f"images/a.png\r\n\n{images}/below/c.PNG\nimages/gone.png\n")
    assert annotate_list("--from-list", "list.txt", "--json") == 3
    result = json.loads(capsys.readouterr().out)
    assert (result["labelled"], result["failed"]) == (2, 1)
    content = json.loads(Path("out/panoptic.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.png", "below/c.PNG"]
    (failure,) = map(json.loads, Path("out/failures.jsonl").read_text().splitlines())
    assert failure["image"] == "gone.png"
    assert "No such file" in failure["message"]


def test_a_list_may_come_from_another_program_with_any_names(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "a.png").rename(images / "two\nlines.png")
    names = io.BytesIO(b"images/two\nlines.png\0images/b.jpg\0")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(names))
    assert annotate_list("--from-list", "-", "-0") == 0
    content = json.loads(Path("out/panoptic.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["b.jpg", "two\nlines.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "either IMAGES"),
        (["images", "--from-list", "list.txt"], 2, "either IMAGES"),
        (["--from-list", "empty.txt"], 2, "empty.txt: no file is named there"),
        (["--from-list", "nowhere.txt"], 2, "nowhere.txt"),
    ],
)
def test_what_cannot_be_a_list_of_images_is_told(
    images: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    Path("list.txt").write_text("images\n")
    Path("empty.txt").write_text("\n")
    assert annotate_list(*arguments) == code
    assert sentence in capsys.readouterr().err


def test_the_same_command_again_does_nothing_and_says_so(
    images: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    annotate()
    before = changed_files(Path("out"))
    capsys.readouterr()
    with caplog.at_level("INFO"):
        assert annotate() == 0
    assert "nothing to do" in caplog.text
    assert "already there  3" in capsys.readouterr().out
    assert changed_files(Path("out")) == before


def test_an_image_that_cannot_be_read_is_reported_and_the_rest_is_labelled(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (images / "b.jpg").read_bytes()
    (images / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "empty.png").touch()
    assert annotate("--json") == 3
    result = json.loads(capsys.readouterr().out)
    assert (result["labelled"], result["failed"]) == (3, 2)
    assert result["schema_version"] == 1
    failures = [json.loads(line) for line in Path("out/failures.jsonl").read_text().splitlines()]
    assert {row["image"] for row in failures} == {"broken.jpg", "empty.png"}
    assert len(json.loads(Path("out/panoptic.json").read_text())["images"]) == 3


def test_a_broken_image_again_fails_again_without_a_model(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "broken.jpg").write_bytes((images / "b.jpg").read_bytes()[:100])
    assert annotate() == 3
    before = changed_files(Path("out"))
    command = ["annotate", "images", "--classes", CLASSES, "--weights", "tiny.safetensors"]
    program = (
        "import sys; from frozenseg_label.cli import main; "
        f"code = main({[*command, '-o', 'out', '--json']}); "
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert again.returncode == 3, again.stderr
    result = json.loads(again.stdout)
    assert (result["labelled"], result["skipped"], result["failed"]) == (0, 3, 1)
    assert "broken.jpg" in again.stderr
    assert changed_files(Path("out")) == before
    capsys.readouterr()
    assert annotate("--dry-run") == 3
    assert "the other 1 cannot be read" in capsys.readouterr().out


def test_labels_of_an_image_that_is_gone_stay_and_it_is_counted(
    images: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    annotate()
    (images / "b.jpg").rename(images / "b.away")
    capsys.readouterr()
    assert annotate("--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["skipped"], result["missing_images"]) == (2, 1)
    assert f"1 labelled images are no longer in {images}; their labels stay" in caplog.text
    assert json.loads(Path("out/summary.json").read_text())["missing_images"] == 1
    assert len(json.loads(Path("out/panoptic.json").read_text())["images"]) == 3
    (images / "b.away").rename(images / "b.jpg")
    assert annotate("--limit", "1") == 0  # the others are there, though nobody asked for them
    assert json.loads(Path("out/summary.json").read_text())["missing_images"] == 0


def test_an_image_that_has_become_readable_is_labelled(images: Path) -> None:
    assert annotate("--max-pixels", "10") == 3
    assert annotate() == 0
    assert len(json.loads(Path("out/panoptic.json").read_text())["images"]) == 3
    assert not Path("out/failures.jsonl").exists()


def test_known_failures_do_not_count_as_all_that_was_tried(images: Path) -> None:
    (images / "broken.jpg").write_bytes(b"no picture")
    assert annotate("--max-failure-rate", "0.3") == 3  # one of four
    assert annotate("--max-failure-rate", "0.3") == 3  # and not one of one


def test_a_dry_run_says_that_nothing_is_to_do(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotate()
    capsys.readouterr()
    assert annotate("--dry-run") == 0
    assert "Nothing to do: all 3 images are labelled already." in capsys.readouterr().out


def test_too_many_failures_stop_the_run_and_keep_what_was_done(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        (images / f"{number}.png").write_bytes(b"no picture")
    assert annotate("--max-failure-rate", "0.3") == 1
    assert "--max-failure-rate" in capsys.readouterr().err
    assert len(json.loads(Path("out/panoptic.json").read_text())["images"]) == 3


def test_other_words_need_update(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotate()
    assert annotate(classes="cow, horse") == 1
    assert "--update" in capsys.readouterr().err
    assert annotate("--update", classes="cow, horse") == 0
    names = {c["name"] for c in json.loads(Path("out/panoptic.json").read_text())["categories"]}
    assert names == {"cow", "horse"}


@pytest.mark.parametrize("options", [("--batch-size", "2"), ("--precision", "bf16")])
def test_batches_and_bfloat16_change_next_to_nothing(
    images: Path, options: tuple[str, str]
) -> None:
    annotate()
    command = ["annotate", "images", "--classes", CLASSES, "--weights", "tiny.safetensors"]
    assert main([*command, "-o", "other", *options]) == 0
    differ = [
        (read_panoptic_png(path) != read_panoptic_png("other" / path.relative_to("out"))).mean()
        for path in Path("out/panoptic").rglob("*.png")
    ]
    assert len(differ) == 3
    # Eight bits of mantissa; of random weights, a whole segment may be another one's.
    assert np.mean(differ) <= (1e-4 if options[0] == "--batch-size" else 0.2)


def test_semantic_maps_and_class_pngs_are_written_where_asked_for(images: Path) -> None:
    assert (
        annotate("--semantic", "--sam-masks", "--format", "class-png", "--format", "per-class-png")
        == 0
    )
    semantic = np.asarray(Image.open("out/semantic/below/c.png"))
    assert semantic.shape == (64, 96)
    assert semantic.max() <= 4
    assert np.asarray(Image.open("out/class-png/a.png")).shape == (64, 96)
    content = json.loads(Path("out/panoptic.json").read_text())
    names = {c["id"]: c["name"] for c in content["categories"]}
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            name = names[segment["category_id"]]
            assert Path("out/per-class-png", name, annotation["file_name"]).exists()


def test_a_dry_run_measures_and_writes_nothing(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert annotate("--dry-run") == 0
    assert "3 images to label" in capsys.readouterr().out
    assert not Path("out").exists()
    annotate("--limit", "1")
    assert annotate("--dry-run", "--json") == 0
    estimate = json.loads(capsys.readouterr().out.splitlines()[-1])["estimate"]
    assert estimate["images"] == 2
    assert estimate["seconds"] > 0
    assert estimate["disk_bytes"] > 0


def test_a_second_run_with_the_same_words_encodes_none(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        annotate()
        assert "encoding" in caplog.text
        caplog.clear()
        (images / "d.png").write_bytes((images / "a.png").read_bytes())
        annotate()
    assert "encoding" not in caplog.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["annotate", "images", "--vocab", "no-such.yaml", "-o", "out"], "no-such.yaml"),
        (["annotate", "images", "--classes", "cat, dog, cat", "-o", "out"], "cat"),
        (["annotate", "images", "--classes", " , ", "-o", "out"], "class"),
        (["annotate", "nowhere", "--classes", "cat", "-o", "out"], "nowhere"),
        (
            ["annotate", "images", "--classes", "cat", "-o", "out", "--weights", "image.pth"],
            "image.pth",
        ),
        (
            ["annotate", "images", "--classes", "cat", "-o", "out", "--weights", "pickle.pth"],
            "weights convert",
        ),
        (["annotate", "images", "--classes", "cat", "-o", "images"], "no run folder"),
        (["annotate", "images", "--classes", "cat", "-o", "out", "--device", "tpu"], "--device"),
    ],
)
def test_bad_input_is_one_sentence_with_the_remedy(
    images: Path,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    Path("pickle.pth").write_bytes(b"\x80\x02}q\x00.")
    if "--weights" not in arguments:
        arguments = [*arguments, "--weights", "tiny.safetensors"]
    before = changed_files(images)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert sentence in error
    assert "Traceback" not in error
    assert changed_files(images) == before


def test_a_folder_without_images_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    assert annotate() == 1
    assert "images" in capsys.readouterr().err
    assert not Path("out/panoptic.json").exists()


def test_words_that_the_embedded_model_never_met_are_named(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["--classes", "cat, wombat, grass: stuff", "--limit", "1"]
    assert main(["annotate", "images", *words, "-o", "labels"]) == 0
    (warning,) = [message for message in caplog.messages if "wombat" in message]
    assert "cat" not in warning


def test_words_must_be_given_once(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "images", "-o", "out"]) == 2
    assert "--vocab or --classes" in capsys.readouterr().err


def test_options_may_come_from_the_environment_and_from_a_file(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("frozenseg-label.toml").write_text(
        '[annotate]\nweights = "nowhere.safetensors"\nlimit = 1\n'
    )
    monkeypatch.setenv("FROZENSEG_LABEL_ANNOTATE_WEIGHTS", "tiny.safetensors")
    assert main(["annotate", "images", "--classes", CLASSES, "-o", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labelled"] == 1
    Path("frozenseg-label.toml").write_text("[annotat]\n")
    assert main(["annotate", "images", "--classes", CLASSES, "-o", "out"]) == 1
    assert "frozenseg-label.toml" in capsys.readouterr().err


NANO_RUN = [
    sys.executable,
    "-m",
    "frozenseg_label",
    "annotate",
    "many",
    "--vocab",
    "stickers",
    "-o",
    "out",
    "--json",
]


@pytest.fixture
def many(tmp_path: Path) -> int:
    """Pictures of noise, for the embedded model."""
    (tmp_path / "many").mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "many" / f"{number:02}.png")
    return 24


def start_and_wait_for_labels() -> subprocess.Popen[str]:
    run = subprocess.Popen(NANO_RUN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(Path("out").glob("panoptic/*.png")) and run.poll() is None:
        assert time.monotonic() < deadline, "no labels after two minutes"
        time.sleep(0.05)
    return run


def test_a_run_killed_half_way_is_taken_up_by_the_same_command(many: int) -> None:
    killed = start_and_wait_for_labels()
    killed.kill()
    killed.communicate()
    again = subprocess.run(NANO_RUN, capture_output=True, text=True, check=True)
    result = json.loads(again.stdout)
    assert result["labelled"] + result["skipped"] == many
    assert result["skipped"] > 0
    annotations = json.loads(Path("out/panoptic.json").read_text())["annotations"]
    assert len(annotations) == many


def test_an_interrupt_stops_cleanly_and_exits_with_130(many: int) -> None:
    run = start_and_wait_for_labels()
    run.send_signal(signal.SIGINT)
    _, error = run.communicate()
    assert run.returncode == 130
    assert "Traceback" not in error
    content = json.loads(Path("out/panoptic.json").read_text())
    assert 0 < len(content["annotations"]) <= many


def test_two_runs_cannot_write_to_one_folder(many: int) -> None:
    first = start_and_wait_for_labels()
    second = subprocess.run(NANO_RUN, capture_output=True, text=True, check=False)
    still_running = first.poll() is None
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert still_running, "the first run was over before the second began"
    assert second.returncode == 1
    assert "in use" in second.stderr
