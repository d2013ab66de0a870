"""One vocabulary of several."""

from pathlib import Path

import pytest

from frozenseg_label.errors import VocabularyError
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary, write_vocabulary
from frozenseg_label.words.merge_vocabularies import merge_vocabularies

CAT = Category("cat", 3, ("kitten",), min_score=0.2)
SKY = Category("sky", 9, is_thing=False)


def merged(folder: Path, *vocabularies: Vocabulary, renumber: bool = False) -> Vocabulary:
    files = []
    for vocabulary in vocabularies:
        files.append(folder / f"{vocabulary.name}.yaml")
        write_vocabulary(files[-1], vocabulary)
    result = merge_vocabularies(files, folder / "all.yaml", renumber=renumber)
    assert read_vocabulary(folder / "all.yaml") == result
    return result


def test_a_class_of_two_vocabularies_comes_once_with_all_its_names(tmp_path: Path) -> None:
    a = Vocabulary("a", (CAT, SKY), ("wall",))
    b = Vocabulary("b", (Category("Cat", 3, ("tomcat",)), Category("dog", 4)), ("Wall", "floor"))
    result = merged(tmp_path, a, b)
    cat = Category("cat", 3, ("kitten", "tomcat"), min_score=0.2)
    assert result.categories == (cat, SKY, Category("dog", 4))
    assert result.background == ("wall", "floor")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Vocabulary("b", (Category("sky", 9),)),
            r"'sky' is stuff in .*a\.yaml and a thing in .*b\.yaml: correct one",
        ),
        (Vocabulary("b", (Category("cat", 4),)), r"'cat' has id 3 in .* and 4 in .*--renumber"),
        (Vocabulary("b", (Category("dog", 3),)), r"id 3 is 'cat' in .* and 'dog' in .*--renumber"),
        (
            Vocabulary("b", (Category("dog", 4),), ("Kitten",)),
            r"'Kitten' is in the background of .*b\.yaml and a name of 'cat' in .*: take one out",
        ),
        (
            Vocabulary("b", (Category("cat", 3, not_names=("kitten",)),)),
            r"'cat' has 'kitten' among its names in one of .* and under `not` in the other",
        ),
    ],
)
def test_clashes_are_told_with_their_remedy(
    tmp_path: Path, other: Vocabulary, message: str
) -> None:
    with pytest.raises(VocabularyError, match=message):
        merged(tmp_path, Vocabulary("a", (CAT, SKY)), other)
    assert not (tmp_path / "all.yaml").exists()


def test_ids_are_numbered_anew_where_that_is_asked(tmp_path: Path) -> None:
    b = Vocabulary("b", (Category("dog", 3), Category("cat", 1)))
    result = merged(tmp_path, Vocabulary("a", (CAT, SKY)), b, renumber=True)
    assert [(c.name, c.id) for c in result.categories] == [("cat", 1), ("sky", 2), ("dog", 3)]
