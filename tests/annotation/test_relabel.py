"""Other words for kept proposals give the labels that the whole model would give."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from frozenseg_label import annotate, relabel, write_demo
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary_files import parse_classes

WORDS = parse_classes("kite, house|cottage, tree, car, grass:stuff, sea|water:stuff, sky:stuff")
SCENES = 3


def class_maps(run: Path) -> dict[str, NDArray[np.str_]]:
    """The name of each pixel's class, by image; empty where there is none."""
    maps = {}
    with RunFolder.read(run) as here:
        for entry in here.entries():
            panoptic = here.read_map(entry.image)
            names = {s.id: here.vocabulary.by_id(s.category_id).name for s in panoptic.segments}
            ids, places = np.unique(panoptic.ids, return_inverse=True)
            named = np.array([names.get(id_, "") for id_ in ids.tolist()])
            maps[entry.image] = named[places].reshape(panoptic.ids.shape)
    return maps


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by other words, kept with SAM's masks, and its images."""
    folder = tmp_path_factory.mktemp("runs")
    write_demo(folder / "images", count=SCENES)
    annotate(folder / "images", folder / "out", "stickers", sam_masks=True, keep_proposals=True)
    return folder


@pytest.mark.parametrize("sam_masks", [True, False])
def test_the_labels_are_those_of_the_whole_model(runs: Path, sam_masks: bool) -> None:
    done = relabel(runs / "out", WORDS, sam_masks=sam_masks)
    assert (done.relabelled, done.skipped, done.lacking) == (SCENES, 0, 0)
    fresh = runs / f"fresh {sam_masks}"
    annotate(runs / "images", fresh, WORDS, sam_masks=sam_masks)
    before, after = class_maps(fresh), class_maps(runs / "out")
    assert before.keys() == after.keys()
    assert any((named != "").any() for named in after.values())
    differ = [(before[image] != after[image]).mean() for image in before]
    assert np.mean(differ) < 0.005


def test_a_relabel_that_is_killed_is_taken_up_by_the_same_command(
    runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(runs / "out", out)
    command = [sys.executable, "-m", "frozenseg_label", "relabel", out, "--classes", "tree, car"]
    journal = out / "journal.jsonl"
    rows = journal.read_bytes().count(b"\n")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while journal.read_bytes().count(b"\n") == rows:
            assert run.poll() is None, "it ended before it wrote a row"
            time.sleep(0.001)
        run.kill()
    written = journal.read_bytes().count(b"\n") - rows
    done = relabel(out, parse_classes("tree, car"))
    assert (done.relabelled, done.skipped, done.lacking) == (SCENES - written, written, 0)
    fresh = tmp_path / "fresh"
    shutil.copytree(runs / "out", fresh)
    relabel(fresh, parse_classes("tree, car"))
    killed, whole = class_maps(out), class_maps(fresh)
    assert all(np.array_equal(killed[image], whole[image]) for image in whole)
