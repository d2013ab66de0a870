"""The same small runs as in the tests of run folders."""

from tests.runs.conftest import make_image, make_manifest, make_map, vocabulary

__all__ = ["make_image", "make_manifest", "make_map", "vocabulary"]
