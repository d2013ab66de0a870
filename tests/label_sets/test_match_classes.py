"""Classes of published and other foreign sets are known, or told with what they may mean."""

from dataclasses import replace
from pathlib import Path

import pytest

from frozenseg_label.errors import FormatError
from frozenseg_label.label_sets.class_map import read_class_map
from frozenseg_label.label_sets.match_classes import ClassMatches, match_classes
from frozenseg_label.label_sets.published_sets import as_published
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import parse_classes, read_vocabulary
from tests.label_sets.published_names import ADE20K, COCO_PANOPTIC, published

SETS = [("coco-panoptic-133", COCO_PANOPTIC), ("ade20k-150", ADE20K)]


def names(matches: ClassMatches, there: Vocabulary, here: Vocabulary) -> dict[str, str]:
    return {there.by_id(a).name: here.by_id(b).name for a, b in matches.ids.items()}


def with_ids_of_their_own(vocabulary: Vocabulary) -> Vocabulary:
    """Return the classes as a tool writes them that numbers them anew and keeps no colours."""
    rows = enumerate(vocabulary.categories, start=1000)
    return Vocabulary("anew", tuple(replace(c, id=id_, color=(0, 0, 0)) for id_, c in rows))


@pytest.mark.parametrize(("name", "spelt"), SETS)
def test_a_published_set_is_known_whole_in_both_directions(
    name: str, spelt: dict[int, str]
) -> None:
    ours, theirs = read_vocabulary(name), published(name, spelt)
    for there, here in ((theirs, ours), (ours, theirs)):
        matches = match_classes(there, here)
        assert matches.ids == {category.id: category.id for category in ours.categories}
        expected = {"name": len(ours) - len(spelt), "published": len(spelt)}
        assert matches.report.counts == expected
        assert len(matches.report.matches) == len(spelt)
        assert not matches.report.merged


@pytest.mark.parametrize("kind", [True, False])
@pytest.mark.parametrize(("name", "spelt"), SETS)
def test_it_is_known_where_a_tool_wrote_one_kind_for_all_and_the_kinds_are_told(
    name: str, spelt: dict[int, str], kind: bool
) -> None:
    ours, theirs = read_vocabulary(name), published(name, spelt)
    flat = Vocabulary("flat", tuple(replace(c, is_thing=kind) for c in theirs.categories))
    matches = match_classes(flat, ours)
    assert len(matches.ids) == len(ours)
    others = sum(category.is_thing != kind for category in ours.categories)
    assert len(matches.report.other_kind) == others


@pytest.mark.parametrize(
    ("name", "spelt", "left"),
    [
        (*SETS[0], {"orange", "remote", "light", "net"}),
        (*SETS[1], {"house", "blind, screen", "light", "plane", "pool", "pot", "screen", "fan"}),
    ],
)
def test_with_ids_of_its_own_names_are_all_that_tells_and_no_class_is_taken_for_another(
    name: str, spelt: dict[int, str], left: set[str]
) -> None:
    ours, theirs = read_vocabulary(name), with_ids_of_their_own(published(name, spelt))
    matches = match_classes(theirs, ours)
    places = {category.id: place for place, category in enumerate(theirs.categories)}
    assert all(ours.index_of(here) == places[there] for there, here in matches.ids.items())
    assert matches.report.unmatched.keys() == left
    assert not matches.report.ambiguous


def test_what_is_unknown_is_told_with_the_most_similar_names() -> None:
    ours = read_vocabulary("coco-panoptic-133")
    matches = match_classes(parse_classes("orange, net, floor lamp, unicorn"), ours)
    assert matches.report.unmatched["orange"] == ("orange fruit",)
    assert matches.report.unmatched["net"][0] == "tennis net"
    assert "lamp" in matches.report.unmatched["floor lamp"]
    assert matches.report.unmatched["unicorn"] == ()
    assert matches.report.doubt("orange") == " (like 'orange fruit'?)"


def test_a_few_classes_of_a_published_set_are_known_by_its_colours_only() -> None:
    theirs = published("coco-panoptic-133", COCO_PANOPTIC)
    some = Vocabulary("some", tuple(theirs.by_id(id_) for id_ in (1, 130, 138)))
    ours = read_vocabulary("coco-panoptic-133")
    assert names(match_classes(some, ours), some, ours) == {
        "person": "person",
        "light": "lamp",
        "net": "tennis net",
    }
    plain = Vocabulary("plain", tuple(replace(c, color=(0, 0, 0)) for c in some.categories))
    assert names(match_classes(plain, ours), plain, ours) == {"person": "person"}


def test_other_classes_with_the_ids_of_a_published_set_are_not_that_set() -> None:
    coco = read_vocabulary("coco-panoptic-133")
    rows = (replace(c, name=f"part {c.id}", color=(1, 2, 3)) for c in coco.categories)
    others = Vocabulary("parts", tuple(replace(c, synonyms=()) for c in rows))
    assert as_published(others) is None
    assert match_classes(others, coco).ids == {}


def test_a_published_set_is_known_in_the_words_of_a_user() -> None:
    there = published("coco-panoptic-133", COCO_PANOPTIC)
    here = parse_classes("wood floor: stuff, lamp: stuff, tree: stuff, citrus | orange fruit")
    found = names(match_classes(there, here), there, here)
    assert found == {
        "floor-wood": "wood floor",
        "light": "lamp",
        "tree-merged": "tree",
        "orange": "citrus",
    }


@pytest.mark.parametrize(
    ("there", "here", "how"),
    [
        ("Fire  Hydrant", "fire hydrant", "case"),
        ("kitty", "cat | kitty", "synonym"),
        ("cat | kitty", "kitty", "synonym"),
        ("traffic_light", "traffic light", "suffix"),
        ("food-other-merged", "food", "suffix"),
        ("food", "food-other", "suffix"),
        ("wall-brick", "wall, brick wall", "suffix"),
    ],
)
def test_the_way_in_which_a_class_is_known(there: str, here: str, how: str) -> None:
    theirs = parse_classes(there)
    assert match_classes(theirs, parse_classes(here)).report.counts == {how: 1}


def test_of_a_list_of_names_the_first_one_counts_first_and_none_that_is_taken() -> None:
    there = Vocabulary(
        "lists",
        tuple(
            Category(name, id_)
            for id_, name in enumerate(["earth, ground", "land, ground", "case, box", "box"])
        ),
    )
    here = parse_classes("earth | ground, land, box")
    matches = match_classes(there, here)
    assert names(matches, there, here) == {
        "earth, ground": "earth",
        "land, ground": "land",
        "box": "box",  # and so `case, box` is another class
    }
    assert "case, box" in matches.report.unmatched


def test_two_classes_may_mean_one_and_this_is_told() -> None:
    there, here = parse_classes("man, woman, dog"), parse_classes("person | man | woman, dog")
    matches = match_classes(there, here)
    assert matches.ids == {1: 1, 2: 1, 3: 2}
    assert matches.report.merged == {"person": ("man", "woman")}
    assert "several classes of A are one class of B: man, woman = person" in [
        *matches.report.notes("A", "B")
    ]


def test_a_name_that_several_classes_share_means_none_of_them() -> None:
    matches = match_classes(parse_classes("pet"), parse_classes("cat | pet, dog | pet"))
    assert matches.ids == {}
    assert matches.report.ambiguous == {"pet": ("cat", "dog")}
    assert matches.report.doubt("pet") == " (may be 'cat' or 'dog')"


def test_a_class_map_goes_before_all_names(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("Pet: dog\ncat: null\nufo: dog\n")
    said = read_class_map(tmp_path / "map.yaml")
    matches = match_classes(parse_classes("pet, cat, dog"), parse_classes("cat | pet, dog"), said)
    assert (matches.ids, matches.ignored) == ({1: 2, 3: 2}, {2})
    assert (matches.report.ignored, matches.report.unused) == (("cat",), ("ufo",))
    with pytest.raises(FormatError, match="'hound', which is no class of classes"):
        match_classes(parse_classes("pet"), parse_classes("dog"), {"pet": "hound"})


def test_a_class_map_may_be_json_and_what_is_wrong_with_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{\t"pet": "dog", "sky": null}')
    assert read_class_map(tmp_path / "map.json") == {"pet": "dog", "sky": None}
    path = tmp_path / "map.yaml"
    for content, fault in (
        ("[pet]", "its content"),
        ("pet: [dog]", "pet"),
        ("1: dog", "quotes around numbers"),
        ("a: {", "map.yaml, line .: not YAML"),
        ("a: b\na: c", "occurs twice"),
    ):
        path.write_text(content)
        with pytest.raises(FormatError, match=fault):
            read_class_map(path)
    path.write_text("")
    assert read_class_map(path) == {}
