"""The recipes are scripts beside the package: their folder goes onto the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "recipes" / "nano"))
