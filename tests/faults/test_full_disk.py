"""A full disk is told with file and remedy, and costs nothing that was already written."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic


def run(command: Sequence[str | Path]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_file_that_cannot_grow_ends_the_run_with_a_clear_error(
    tmp_path: Path, labelling: list[str]
) -> None:
    out = tmp_path / "out"
    *labelled, error = run([*labelling, out, "starve", "10000"])  # the journal meets the limit
    assert error.startswith(f"error: {out / 'journal.jsonl'}: cannot be written, file too large")
    assert "make room" in error
    assert 3 < len(labelled) < 30
    pngs = sorted(path.name for path in (out / "panoptic").iterdir())
    assert pngs == sorted(f"{Path(name).stem}.png" for name in labelled)  # none is torn or missing
    assert (out / "journal.jsonl").read_bytes().endswith(b"\n")
    again = run([*labelling, out, "run", "30"])  # there is room now
    assert set(again).isdisjoint(labelled)
    assert len(list(read_coco_panoptic(out / "panoptic.json", trust_states=True))) == 30


def test_a_disk_without_any_room_is_told_before_anything_is_labelled(
    tmp_path: Path, labelling: list[str]
) -> None:
    out = tmp_path / "out"
    [error] = run([*labelling, out, "starve", "100"])
    assert "run.json: cannot be written" in error
    assert not (out / "run.json").exists()
    assert len(run([*labelling, out, "run", "2"])) == 2


IN_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=200k tmpfs "$1"
"$2" "$3" "$1/out" run 1000
echo ---
"$2" "$3" "$1/out" run 1000
echo ---
mount -o remount,size=50m "$1"
"$2" "$3" "$1/out" run 200
"$2" - "$1/out" <<'END'
import sys
from pathlib import Path
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
print(len(list(read_coco_panoptic(Path(sys.argv[1]) / "panoptic.json"))))
END
"""


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount a small disk (unshare -rm)")
def test_a_disk_that_runs_full_for_real(tmp_path: Path, labelling: list[str]) -> None:
    command = ["unshare", "-rm", "bash", "-c", IN_A_SMALL_DISK, "bash"]
    lines = run([*command, str(tmp_path), *labelling])
    first = lines[: lines.index("---")]
    assert "no space left on device; make room" in first[-1]
    assert len(first) > 10
    second = lines[lines.index("---") + 1 :]
    assert "no space left on device" in second[0]  # still full: told at once, nothing lost
    assert lines[-1] == "200"
