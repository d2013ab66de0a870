"""The command line with one more model, so small that a step takes milliseconds.

Tests start it as a program of its own: python tiny_command.py train LABELS...
Several commands, separated by +, run one after the other.
"""

import runpy
import sys
from pathlib import Path

from frozenseg_label.cli import main
from frozenseg_label.model.builders import BUILDERS

CONFTEST = Path(__file__).parents[2] / "conftest.py"

if __name__ == "__main__":
    BUILDERS["tiny"] = runpy.run_path(str(CONFTEST))["build_tiny_frozenseg"]
    codes = [main(command.split("\n")) for command in "\n".join(sys.argv[1:]).split("\n+\n")]
    sys.exit(max(codes))
