"""A picture that does not fit into memory is one failure; the others get their labels."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# The limit counts addresses, of which libraries reserve many: it is set once all is loaded.
LABEL_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from frozenseg_label.cli import main
def annotate(images, out):
    options = ["--classes", "cat, sky:stuff", "--max-pixels", "1000000000", "--device", "cpu"]
    return main(["annotate", images, "-o", out, *options])
assert annotate("small", "warm") == 0
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 500_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(annotate("images", "out"))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells its memory there")
def test_a_picture_larger_than_the_memory_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for name in ("small/a.png", "images/1.png", "images/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / name)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "images" / "2.png")  # a few kilobytes
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", LABEL_WITH_LITTLE_MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    [failure] = [json.loads(row) for row in Path("out/failures.jsonl").read_text().splitlines()]
    assert failure["image"] == "2.png"
    assert "2.png: 20000 x 20000 pixels need more memory than this machine" in failure["message"]
    labelled = json.loads(Path("out/panoptic.json").read_text())["images"]
    assert [image["file_name"] for image in labelled] == ["1.png", "3.png"]
