"""Starting `labelling.py` as a program of its own, with the package that is under test."""

import os
import sys
from pathlib import Path

import pytest

import frozenseg_label

LABELLING = Path(__file__).with_name("labelling.py")


@pytest.fixture
def labelling() -> list[str]:
    """The command; the tests add folder and job."""
    return [sys.executable, str(LABELLING)]


@pytest.fixture(autouse=True)
def _package_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(frozenseg_label.__file__).parents[1]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
