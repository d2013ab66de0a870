"""The same small runs as in the tests of run folders, and the libraries of other people."""

from tests.foreign.conftest import foreign_python
from tests.runs.conftest import make_image, make_manifest, make_map, vocabulary

__all__ = ["foreign_python", "make_image", "make_manifest", "make_map", "vocabulary"]
