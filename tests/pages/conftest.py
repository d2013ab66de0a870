"""The same maps and sets as in the tests of the evaluation."""

from tests.evaluation.conftest import golden, make_map, make_set, vocabulary

__all__ = ["golden", "make_map", "make_set", "vocabulary"]
