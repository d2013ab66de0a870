"""A run that is killed at any moment is taken up by the same command; only whole files remain."""

import json
import random
import subprocess
import time
from pathlib import Path

import pytest

from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic


def test_a_kill_before_any_call_to_the_disk_loses_nothing(
    tmp_path: Path, labelling: list[str]
) -> None:
    done = subprocess.run(
        [*labelling, tmp_path, "moments", "4"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80  # moments there are


@pytest.mark.parametrize("lines", [0, 3, 12])
def test_a_run_killed_half_way_goes_on_where_it_was(
    tmp_path: Path, labelling: list[str], lines: int
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen([*labelling, out, "run", "30"], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        said = [run.stdout.readline().strip() for _ in range(lines)]
        time.sleep(random.random() / 100)
        run.kill()
        said += run.stdout.read().split()
    if (out / "journal.jsonl").exists():
        rows = (out / "journal.jsonl").read_bytes().splitlines(keepends=True)
        written = [json.loads(row)["image"] for row in rows if row.endswith(b"\n")]
        assert set(said) <= set(written)  # what was said to be done, is
    again = subprocess.run(
        [*labelling, out, "run", "30"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(again).isdisjoint(said)
    dataset = read_coco_panoptic(out / "panoptic.json", trust_states=True)
    assert len(list(dataset)) == 30
