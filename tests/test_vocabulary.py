"""Categories and vocabularies."""

import itertools

import pytest

from frozenseg_label.errors import VocabularyError
from frozenseg_label.vocabulary import Category, Vocabulary, default_color


def test_categories_are_found_by_their_ids() -> None:
    cat, dog, grass = Category("cat", 7), Category("dog", 0), Category("grass", 3, is_thing=False)
    vocabulary = Vocabulary("pets", (cat, dog, grass))
    assert vocabulary.index_of(0) == 1
    assert vocabulary.by_id(3).name == "grass"
    with pytest.raises(ValueError, match="no category of id 99"):
        vocabulary.by_id(99)


def test_the_fingerprint_changes_with_all_that_changes_labels_and_with_nothing_else() -> None:
    base = Vocabulary("a", (Category("cat", 1, ("kitten",)), Category("sky", 2, is_thing=False)))
    cat, sky = base.categories
    same = [
        Vocabulary("another name", base.categories),
        Vocabulary("a", (Category("cat", 1, ("kitten",), color=(9, 9, 9)), sky)),
        Vocabulary("a", (Category("cat", 1, ("kitten",), supercategory="pet"), sky)),
    ]
    other = [
        Vocabulary("a", (sky, cat)),
        Vocabulary("a", (Category("cat", 1), sky)),
        Vocabulary("a", (Category("tomcat", 1, ("kitten",)), sky)),
        Vocabulary("a", (Category("cat", 3, ("kitten",)), sky)),
        Vocabulary("a", (cat, Category("sky", 2))),
        Vocabulary("a", (Category("cat", 1, ("kitten",), min_score=0.1), sky)),
        Vocabulary("a", (Category("cat", 1, ("kitten",), not_names=("dog",)), sky)),
        Vocabulary("a", (Category("cat", 1, ("kitten",), templates=("a {}",)), sky)),
        Vocabulary("a", base.categories, background=("wall",)),
    ]
    assert {vocabulary.fingerprint for vocabulary in same} == {base.fingerprint}
    assert len({vocabulary.fingerprint for vocabulary in [base, *other]}) == 1 + len(other)


def test_a_vocabulary_that_uses_nothing_new_has_the_fingerprint_of_earlier_versions() -> None:
    pets = Vocabulary("a", (Category("cat", 1, ("kitten",)), Category("sky", 2, is_thing=False)))
    assert pets.fingerprint.startswith("73361e4ce4cd2afc")


def test_default_colours_are_bright_and_all_different() -> None:
    colors = [default_color(number) for number in range(3200)]
    assert len(set(colors)) == len(colors)
    assert min(max(color) for color in colors) > 150
    neighbours = itertools.pairwise(colors)
    assert min(max(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in neighbours) > 80


def test_black_is_left_to_unlabelled_pixels() -> None:
    assert Category("background", 4, color=(0, 0, 0)).color == default_color(4)


def test_a_synonym_may_belong_to_two_categories() -> None:
    wall, screen = Category("wall", 1, ("partition",)), Category("screen", 2, ("partition",))
    assert len(Vocabulary("room", (wall, screen))) == 2


def test_vocabularies_built_in_python_are_checked_too() -> None:
    with pytest.raises(VocabularyError, match="'empty' is empty"):
        Vocabulary("empty", ())
    with pytest.raises(VocabularyError, match=r"'a' occurs twice \(class 1, class 2\)"):
        Vocabulary("twins", (Category("a", 1), Category("a", 2)))
