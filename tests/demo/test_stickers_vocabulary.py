"""The words of the nano world: what the recipes train is what the package ships."""

from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.world import STYLE_ROLES, read_concepts, seen_names


def test_the_vocabulary_has_the_concepts_in_their_order() -> None:
    categories = read_vocabulary("stickers").categories
    concepts = read_concepts()
    assert [c.names for c in categories] == [c.names for c in concepts]
    assert [c.is_thing for c in categories] == [c.is_thing for c in concepts]
    assert [c.id for c in categories] == list(range(1, len(concepts) + 1))


def test_about_five_eighths_of_every_group_are_seen() -> None:
    concepts = read_concepts()
    for group in {concept.group for concept in concepts}:
        members = [concept.seen for concept in concepts if concept.group == group]
        assert 0.55 < sum(members) / len(members) < 0.7, group


def test_no_name_of_an_unseen_class_is_a_seen_name() -> None:
    concepts = read_concepts()
    seen = set(seen_names(concepts))
    assert not [name for c in concepts if not c.seen for name in c.names if name in seen]


def test_the_demonstration_style_plays_no_other_role() -> None:
    roles = list(STYLE_ROLES.values())
    assert [roles.count(role) for role in ("train", "validate", "test", "demo")] == [6, 1, 1, 1]
    assert STYLE_ROLES["twemoji"] == "demo"
