"""Coarse classes of fine ones."""

from pathlib import Path

import pytest

from frozenseg_label.errors import VocabularyError
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary, write_vocabulary
from frozenseg_label.words.map_vocabulary import Others, map_vocabulary

CAT = Category("cat", 3, ("kitten",), min_score=0.2, supercategory="pet", not_names=("dog",))
DOG = Category("dog", 5, ("puppy",), min_score=0.1, supercategory="pet", not_names=("wolf",))
CAR = Category("car", 7, color=(1, 2, 3))
SKY = Category("sky", 9, is_thing=False)
FINE = Vocabulary("fine", (CAT, DOG, CAR, SKY), ("wall",))


def made(folder: Path, text: str, *, others: Others = "keep", renumber: bool = False) -> Vocabulary:
    write_vocabulary(folder / "fine.yaml", FINE)
    (folder / "map.yaml").write_text(text)
    output = folder / "coarse.yaml"
    coarse = map_vocabulary(
        folder / "fine.yaml", folder / "map.yaml", output, others=others, renumber=renumber
    )
    assert read_vocabulary(output) == coarse
    return coarse


def test_a_coarse_class_has_all_names_and_remembers_what_it_was_made_from(tmp_path: Path) -> None:
    coarse = made(tmp_path, "animal: [cat, Dog]\n")
    animal, *others = coarse.categories
    assert animal.names == ("animal", "cat", "kitten", "dog", "puppy")
    assert animal.made_from == ("cat", "dog")
    assert (animal.id, animal.is_thing, animal.min_score) == (3, True, 0.1)
    assert animal.supercategory == "pet"
    assert animal.not_names == ("wolf",)  # a dog is one of them now
    assert tuple(others) == (CAR, SKY)
    assert coarse.background == ("wall",)
    assert coarse.name == "coarse"


def test_a_fine_class_may_give_the_coarse_one_its_name(tmp_path: Path) -> None:
    assert made(tmp_path, "cat: [cat, dog]\n").categories[0].names == (
        "cat",
        "kitten",
        "dog",
        "puppy",
    )
    assert "# Made from fine by map.yaml." in (tmp_path / "coarse.yaml").read_text()


def test_classes_that_the_map_does_not_name_may_go_or_compete(tmp_path: Path) -> None:
    dropped = made(tmp_path, "vehicle: car\n", others="drop", renumber=True)
    assert [(c.name, c.id) for c in dropped.categories] == [("vehicle", 1)]
    (tmp_path / "coarse.yaml").unlink()
    rest = made(tmp_path, "vehicle: car\n", others="background")
    assert rest.background == ("wall", "cat", "kitten", "dog", "puppy", "sky")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("animal: [cat, dgo]\n", r"map\.yaml: fine has no class 'dgo'; did you mean dog\?"),
        ("animal: [cat]\npet: [cat]\n", "'cat' is in 'animal' and in 'pet'; keep one"),
        ("a: [cat, sky]\n", r"'a' is made of things \(cat\) and stuff \(sky\); make two"),
        ("car: [cat]\n", r"category 'car' occurs twice .*--others drop"),
        ("- cat\n", r"no map of classes; write a line for each coarse class, `animal: \[cat"),
        ("animal: [cat, 7]\n", r"'animal' has \['cat', 7\] in place of names"),
        ("animal:\n", "'animal' has None in place of names"),
    ],
)
def test_what_a_map_cannot_mean_is_told_with_the_remedy(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(VocabularyError, match=message):
        made(tmp_path, text)
    assert not (tmp_path / "coarse.yaml").exists()


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "coarse.yaml").write_text("my work")
    with pytest.raises(VocabularyError, match="exists already; name another file"):
        made(tmp_path, "animal: [cat, dog]\n")
    assert (tmp_path / "coarse.yaml").read_text() == "my work"
