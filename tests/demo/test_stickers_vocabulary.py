"""The words of the nano world: what the recipes train is what the package ships."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from frozenseg_label.vocabulary import read_vocabulary

RECIPES = Path(__file__).parents[2] / "recipes" / "nano"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(RECIPES)  # recipes import each other by name
    spec = importlib.util.spec_from_file_location("world", RECIPES / "world.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_vocabulary_has_the_concepts_in_their_order(world: ModuleType) -> None:
    categories = read_vocabulary("stickers").categories
    concepts = world.read_concepts()
    assert [c.names for c in categories] == [c.names for c in concepts]
    assert [c.is_thing for c in categories] == [c.is_thing for c in concepts]
    assert [c.id for c in categories] == list(range(1, len(concepts) + 1))


def test_about_five_eighths_of_every_group_are_seen(world: ModuleType) -> None:
    concepts = world.read_concepts()
    for group in {concept.group for concept in concepts}:
        members = [concept.seen for concept in concepts if concept.group == group]
        assert 0.55 < sum(members) / len(members) < 0.7, group


def test_no_name_of_an_unseen_class_is_a_seen_name(world: ModuleType) -> None:
    concepts = world.read_concepts()
    seen = set(world.seen_names(concepts))
    assert not [name for c in concepts if not c.seen for name in c.names if name in seen]


def test_the_demonstration_style_plays_no_other_role(world: ModuleType) -> None:
    roles = list(world.STYLE_ROLES.values())
    assert [roles.count(role) for role in ("train", "validate", "test", "demo")] == [6, 1, 1, 1]
    assert world.STYLE_ROLES["twemoji"] == "demo"
