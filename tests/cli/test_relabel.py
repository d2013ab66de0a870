"""`frozenseg-label relabel`, with a tiny random model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.annotation import relabel_images
from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.cli import main
from frozenseg_label.inference.image_proposals import ImageProposals
from frozenseg_label.model import builders
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.run_folder import RunFolder

OLD, NEW = "cat, dog, sky:stuff", "cat, horse, sky:stuff, road:stuff"
OUT = Path("out")


@pytest.fixture(autouse=True)
def images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_tiny: Callable[[], FrozenSeg]
) -> Path:
    """Three pictures of noise, and a tiny checkpoint."""
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny)
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    categories = [TrainingCategory(names=("cat",), is_thing=True)]
    save_checkpoint(tmp_path / "tiny.safetensors", build_tiny(), "tiny", categories)
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(folder / name)
    return folder


def annotate(*options: str, classes: str = OLD) -> int:
    asked = ["--classes", classes, "--weights", "tiny.safetensors", "-o", "out"]
    return main(["annotate", "images", *asked, *options])


def relabel(*options: str) -> int:
    return main(["relabel", "out", *options])


def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in (OUT / "journal.jsonl").read_text().splitlines()]


def contents() -> dict[str, bytes]:
    files = (path for path in OUT.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path): path.read_bytes() for path in files}


def test_a_run_that_was_relabelled_is_one_that_annotate_made(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert annotate("--keep-proposals", "--format", "class-png", "--semantic") == 0
    shutil.move("images", "elsewhere")  # no picture is read
    capsys.readouterr()
    assert relabel("--classes", NEW, "--json", "-q") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["relabelled"], said["skipped"], said["lacking"]) == (3, 0, 0)
    shutil.move("elsewhere", "images")
    assert [row["event"] for row in rows()] == ["annotated"] * 3 + ["relabelled"] * 3
    categories = json.loads((OUT / "panoptic.json").read_text())["categories"]
    assert [category["name"] for category in categories] == ["cat", "horse", "sky", "road"]
    assert len(list((OUT / "semantic").glob("*.png"))) == 3
    before = contents()
    assert annotate("--keep-proposals", "--semantic", classes=NEW) == 0
    after = contents()  # only what the last command was, is another one
    assert {name for name in after if after[name] != before.get(name)} <= {"out/run.json"}


def test_the_same_words_again_do_nothing_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    annotate("--keep-proposals")
    relabel("--classes", NEW)
    before = contents()
    caplog.clear()
    assert relabel("--classes", NEW) == 0
    assert "nothing to do" in caplog.text
    assert contents() == before


def test_a_run_without_kept_proposals_stays_as_it_is_and_the_remedy_works(
    capsys: pytest.CaptureFixture[str],
) -> None:
    annotate()
    before = contents()
    assert relabel("--classes", NEW) == 1
    assert "--keep-proposals" in capsys.readouterr().err
    assert contents() == before
    assert annotate("--keep-proposals") == 0
    assert relabel("--classes", NEW) == 0


def test_images_whose_proposals_are_no_use_keep_their_labels_until_they_are_labelled_again(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    annotate("--keep-proposals")
    (OUT / "kept" / "a.safetensors").write_bytes(b"damaged")
    (OUT / "kept" / "b.safetensors").unlink()
    labels = (OUT / "panoptic" / "a.png").read_bytes()
    capsys.readouterr()
    assert relabel("--classes", NEW, "--json") == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["relabelled"], said["lacking"]) == (1, 2)
    assert [failure["image"] for failure in said["failures"]] == ["a.png", "b.png"]
    assert "2 images keep their old labels" in caplog.text
    assert (OUT / "panoptic" / "a.png").read_bytes() == labels
    assert annotate("--keep-proposals", classes=NEW) == 0
    assert [row["event"] for row in rows()][-2:] == ["annotated"] * 2
    assert relabel("--classes", OLD) == 0


def test_proposals_of_a_picture_that_changed_do_not_outlive_it(images: Path) -> None:
    annotate("--keep-proposals")
    Image.new("RGB", (80, 60)).save(images / "a.png")
    annotate()
    assert sorted(path.stem for path in (OUT / "kept").iterdir()) == ["b", "c"]
    assert relabel("--classes", NEW) == 3


def test_other_weights_are_refused(
    tmp_path: Path, build_tiny: Callable[[], FrozenSeg], capsys: pytest.CaptureFixture[str]
) -> None:
    annotate("--keep-proposals")
    categories = [TrainingCategory(names=("dog",), is_thing=True)]
    save_checkpoint(tmp_path / "other.safetensors", build_tiny(), "tiny", categories)
    before = contents()
    assert relabel("--classes", NEW, "--weights", "other.safetensors") == 1
    assert "was labelled by the weights tiny.safetensors" in capsys.readouterr().err
    assert contents() == before


def test_sams_masks_that_were_not_kept_are_asked_for() -> None:
    annotate("--keep-proposals")
    assert relabel("--classes", NEW, "--sam-masks") == 3
    assert annotate("--keep-proposals", "--sam-masks", classes=NEW) == 0
    assert relabel("--classes", OLD) == 0  # sam_masks as in the run


def test_segments_of_a_person_stay_and_lost_words_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    annotate("--keep-proposals")
    with RunFolder.open_to_correct(OUT) as run:
        ids = np.zeros((64, 96), np.int32)
        ids[:20, :30] = 5
        box = (0, 0, 30, 20)
        owned = PanopticMap(ids, (Segment(5, 1, True, 600, box, 0.5, state="accepted"),))
        entry = run.entry("a.png")
        assert entry is not None
        run.correct(run.record(entry), owned, state="in review")
        run.finish()
    assert relabel("--classes", NEW) == 0
    with RunFolder.read(OUT) as run:
        panoptic = run.read_map("a.png")
        assert (panoptic.ids[:20, :30] == 5).all()
        (kept,) = (segment for segment in panoptic.segments if segment.is_owned)
        assert run.vocabulary.by_id(kept.category_id).name == "cat"
    capsys.readouterr()
    assert relabel("--classes", "horse, sky:stuff") == 1
    assert "cat in a.png" in capsys.readouterr().err


def test_an_interrupted_relabelling_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    annotate("--keep-proposals")
    read = relabel_images.load_proposals

    def interrupted(image: str, *rest: object) -> ImageProposals:
        if image == "c.png":
            raise KeyboardInterrupt
        return read(image, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(relabel_images, "load_proposals", interrupted)
        assert relabel("--classes", NEW) == 130
    done = len(rows()) - 3
    assert relabel("--classes", NEW) == 0
    assert len(rows()) == 6
    assert done in (1, 2)


def test_words_are_tried_on_one_image_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    annotate("--keep-proposals")
    before = contents()
    capsys.readouterr()
    assert relabel("--try", "cat|kitten, sea:stuff", "--image", "b.png", "-o", "b.jpg") == 0
    said = capsys.readouterr().out
    assert "b.png" in said
    for word in ("cat", "sea", "(unlabelled)"):
        assert word in said
    with Image.open("b.jpg") as drawn:
        assert drawn.size == (96, 64)
    assert relabel("--try", "cat", "--image", "images/b.png", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["image"] == "b.png"
    (cat,) = found["classes"]
    assert found["unlabelled"] == pytest.approx(1 - cat["share"])
    assert contents() == before


def test_without_words_each_line_is_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate("--keep-proposals")
    capsys.readouterr()
    with monkeypatch.context() as patch, Path("lines").open("w+") as lines:
        lines.write("cat, dog\ncat, cat\ncat, sea:stuff\n\ncat\n")
        lines.seek(0)
        patch.setattr("sys.stdin", lines)
        assert relabel("--try") == 0
    said = capsys.readouterr()
    assert said.out.count("a.png: ") == 2
    assert "Error: " in said.err  # "cat, cat" ends no session


def test_an_image_that_is_not_there_is_told_with_a_near_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    annotate("--keep-proposals")
    assert relabel("--try", "cat", "--image", "b.jpg") == 1
    assert "did you mean 'b.png'?" in capsys.readouterr().err


def test_a_dry_run_says_what_the_proposals_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate("--dry-run", "--keep-proposals", "--json") == 0
    assert json.loads(capsys.readouterr().out)["estimate"]["kept_bytes"] > 1000
    assert annotate("--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["estimate"]["kept_bytes"] == 0


def test_corrections_help_at_once_and_the_words_may_stay(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert annotate("--keep-proposals") == 0
    assert relabel("--memory", "out") == 1  # nobody has corrected anything
    assert "no corrected segment" in capsys.readouterr().err
    with RunFolder.open_to_correct(OUT) as run:
        entry = next(run.entries())
        ids = np.ones(run.read_map(entry.image).ids.shape, np.int32)
        mine = PanopticMap.of(ids, [Segment(1, 2, is_thing=True, state="edited")])
        run.correct(run.record(entry), mine, state="reviewed")
    assert relabel("--memory", "out", "-q") == 0
    told = json.loads((OUT / "run.json").read_text())
    assert told["arguments"]["memory"]["segments"] == 1
    assert told["options"]["memory"].startswith("1 segments, ")
    with RunFolder.read(OUT) as run:
        assert run.read_map(entry.image).segments[0].category_id == 2
    before = contents()
    assert relabel("--memory", "out", "-q") == 0
    assert contents() == before
    assert relabel("--try", "cat", "--memory", "out") == 2
    capsys.readouterr()
    assert relabel("--try", "cat") == 0
    assert "without the run's memory" in caplog.text
    assert annotate() == 1
    assert "of --memory out there, none now" in capsys.readouterr().err
    assert relabel("--classes", OLD) == 0
    assert "--memory keeps it" in caplog.text
