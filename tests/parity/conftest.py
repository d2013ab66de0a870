"""Golden fixtures: outputs of the published implementation on small random weights.

The folder is `FROZENSEG_GOLDEN`, by default the trimmed set beside this file. A test marked
`@pytest.mark.golden("head_*")` runs once for every fixture whose name matches.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(os.environ.get("FROZENSEG_GOLDEN") or Path(__file__).parent / "golden")


class Golden:
    """One fixture: its tensors by prefix, its configuration and its tolerances."""

    def __init__(self, description: Path) -> None:
        self.path = description
        self.name = description.stem
        self.description: dict[str, Any] = json.loads(description.read_text())
        self.config: dict[str, Any] = self.description["config"]
        self.tolerance: dict[str, Any] = self.description["tolerance"]
        self._tensors = load_file(description.with_suffix(".safetensors"))
        # The trimmed set leaves out what another of its fixtures holds already.
        for other, keys in self.description.get("same_as", {}).items():
            theirs = load_file(self.path.with_name(other + ".safetensors"))
            self._tensors |= {key: theirs[key] for key in keys}

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose name begins with `prefix.`, without it."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self._tensors.items() if k.startswith(start)}

    def sibling(self, file_name: str) -> "Golden":
        """Return the fixture that this one names as the source of its inputs."""
        return Golden(self.path.with_name(file_name).with_suffix(".json"))

    def bounds(self, key: str | None = None) -> dict[str, float]:
        """Return atol and rtol as the fixture gives them."""
        given = self.tolerance[key] if key else self.tolerance
        return {"atol": given["atol"], "rtol": given["rtol"]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("golden")
    if marker is None:
        return
    paths = [
        p
        for p in sorted(FOLDER.glob(marker.args[0] + ".json"))
        if p.with_suffix(".safetensors").exists()
    ]
    if not paths:
        raise pytest.UsageError(
            f"no fixture {marker.args[0]} in {FOLDER}; set FROZENSEG_GOLDEN to a folder that has it"
        )
    metafunc.parametrize("golden_path", paths, ids=[p.stem for p in paths])


@pytest.fixture
def golden(golden_path: Path) -> Golden:
    return Golden(golden_path)
