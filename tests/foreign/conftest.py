"""A labelled set with all that formats may lose, and readers of other people."""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.vocabulary import Category, Vocabulary
from tests.evaluation.conftest import write_set

Rows = list[list[str | int]]  # image, class, area and hash of each mask, sorted

VOCABULARY = Vocabulary(
    "animals", (Category("cat", 1), Category("a dog & 'co'", 5), Category("sky", 3, is_thing=False))
)
READER = Path(__file__).parent / "read_labels.py"


@pytest.fixture(scope="session")
def foreign_python() -> Path:
    """The Python of an environment with `requirements.txt`, which .ci/run makes."""
    named = os.environ.get("FROZENSEG_FOREIGN_PYTHON")
    if named is None:
        pytest.skip("FROZENSEG_FOREIGN_PYTHON names no Python with tests/foreign/requirements.txt")
    return Path(named)


@pytest.fixture
def read(foreign_python: Path) -> Callable[[str, Path], Rows]:
    """Read an export with a library of other people, as one of `READERS` names it."""

    def read_with(reader: str, folder: Path) -> Rows:
        command = [foreign_python, READER, reader, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        rows: Rows = json.loads(done.stdout.splitlines()[-1])
        return rows

    return read_with


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images: cats with holes and in parts, two dogs that touch, sky around; one is void."""
    folder = tmp_path_factory.mktemp("foreign")
    maps = {}
    for number, name in enumerate(("one.png", "two.png")):
        ids = np.full((30, 40), 9, dtype=np.int32)
        ids[3:13, 2 + number : 14] = 1
        ids[6:9, 5:9] = 0  # a hole
        ids[20:24, 3:9] = 1  # another part
        ids[15:28, 20:27] = 300  # two dogs that touch
        ids[15:28, 27:38] = 70000
        ids[0, 0] = 0
        classes = {1: 1, 300: 5, 70000: 5, 9: 3}
        segments = [Segment(i, c, c != 3, score=0.5) for i, c in classes.items()]
        maps[name] = PanopticMap.of(ids, segments)
        Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(folder / name)
    return write_set(folder, maps, VOCABULARY)


@pytest.fixture(scope="session")
def expected(labels: Path) -> Rows:
    """What every reader that loses nothing sees."""
    rows: Rows = []
    with open_label_set(labels) as label_set:
        for name in label_set.images:
            found = label_set.read_map(name)
            for segment in found.segments:
                mask = np.packbits(found.ids == segment.id).tobytes()
                label = label_set.vocabulary.by_id(segment.category_id).name
                digest = hashlib.sha256(mask).hexdigest()
                rows.append([Path(name).stem, label, segment.area, digest])
    return sorted(rows)
