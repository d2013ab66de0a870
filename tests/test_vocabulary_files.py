"""The ways of writing a vocabulary down."""

from pathlib import Path

import pytest

from frozenseg_label.errors import VocabularyError
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import parse_classes, read_vocabulary, write_vocabulary

PETS = """\
name: pets
description: two animals and where they sit
classes:
  - {name: cat, id: 7, synonyms: [kitten, tomcat], color: [10, 20, 250], min_score: 0.25}
  - name: dog
    id: 0
  - {name: grass, kind: stuff, id: 3}
"""


def write(folder: Path, text: str, name: str = "words.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_yaml_file_says_all_there_is_to_say(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write(tmp_path, PETS))
    cat = Category("cat", 7, ("kitten", "tomcat"), True, (10, 20, 250), 0.25)
    assert vocabulary.name == "pets"
    assert vocabulary.categories == (cat, Category("dog", 0), Category("grass", 3, is_thing=False))
    assert vocabulary.all_names() == ("cat", "kitten", "tomcat", "dog", "grass")
    assert vocabulary.names_per_category == (3, 1, 1)
    assert len(vocabulary) == 3


def test_words_that_compete_prompts_and_origins_are_read(tmp_path: Path) -> None:
    text = """\
background: [wall, floor]
classes:
  - name: cup
    not: [bowl, vase]
    templates: ["a drawing of a {}", "{}"]
    supercategory: dish
    made_from: [mug, teacup]
"""
    vocabulary = read_vocabulary(write(tmp_path, text))
    assert vocabulary.background == ("wall", "floor")
    (cup,) = vocabulary.categories
    assert cup.not_names == ("bowl", "vase")
    assert cup.templates == ("a drawing of a {}", "{}")
    assert (cup.supercategory, cup.made_from) == ("dish", ("mug", "teacup"))
    assert vocabulary.all_names() == ("cup",)
    assert vocabulary.all_words() == ("cup", "bowl", "vase", "wall", "floor")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    cup = Category(
        "no: 'cup' #1",
        0,
        ("чашка", "50"),
        False,
        (1, 2, 3),
        0.25,
        ("bowl",),
        ("a {}",),
        "dish",
        ("mug",),
    )
    words = Vocabulary("7", (cup, Category("cat", 9)), ("wall", "no"))
    write_vocabulary(tmp_path / "words.yaml", words, note="By hand.\nTwice.")
    assert read_vocabulary(tmp_path / "words.yaml") == words
    text = (tmp_path / "words.yaml").read_text()
    assert text.startswith("# By hand.\n# Twice.\n")
    assert "  - {id: 9, name: cat, kind: thing}\n" in text


def test_a_plain_string_in_yaml_is_a_thing_of_that_name(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write(tmp_path, "classes:\n- cat\n- {name: sky, kind: stuff}\n"))
    assert vocabulary.name == "words"
    assert vocabulary.categories == (Category("cat", 1), Category("sky", 2, is_thing=False))


def test_a_text_file_has_a_name_a_line(tmp_path: Path) -> None:
    text = (
        "\ufeff# my words\r\ncat\r\n\r\nsofa | couch|settee  # both\r\nsky: stuff\r\nC#: thing\r\n"
    )
    vocabulary = read_vocabulary(write(tmp_path, text, "room.txt"))
    assert vocabulary.name == "room"
    assert vocabulary.categories == (
        Category("cat", 1),
        Category("sofa", 2, ("couch", "settee")),
        Category("sky", 3, is_thing=False),
        Category("C#", 4),
    )


def test_the_command_line_spells_a_vocabulary_out() -> None:
    vocabulary = parse_classes("cat, sofa|couch, sky:stuff,")
    assert vocabulary.categories == (
        Category("cat", 1),
        Category("sofa", 2, ("couch",)),
        Category("sky", 3, is_thing=False),
    )


WRONG = {
    "duplicate": (
        "- cat\n- dog\n- Cat\n",
        r"category 'Cat' occurs twice \(.*line 2, .*line 4\)",
    ),
    "duplicate id": (
        "- {name: a, id: 5}\n- {name: b, id: 5}\n",
        r"id 5 occurs twice \(.*line 2,",
    ),
    "own synonym": ("- {name: cat, synonyms: [CAT]}\n", r"line 2: category 'cat' lists one of"),
    "empty name": ("- ''\n", r"line 2: category '' has an empty name"),
    "some ids": ("- {name: a, id: 5}\n- b\n", r"line 3: no id, while other classes have one"),
    "negative id": ("- {name: a, id: -1}\n", r"line 2: category 'a' has id -1; ids start at 0"),
    "min_score": ("- {name: a, min_score: 40}\n", r"line 2: category 'a' has min_score 40"),
    "colour": ("- {name: a, color: [1, 2, 256]}\n", r"line 2: category 'a' has color"),
    "colour length": ("- {name: a, color: [1, 2]}\n", r"line 2: `color\.2:` is missing"),
    "kind": ("- {name: a, kind: stuf}\n", r"line 2: kind is 'stuf'; input should be 'thing' or"),
    "unknown key": (
        "- {name: a, synonym: [b]}\n",
        r"unknown key 'synonym'; did you mean synonyms\?",
    ),
    "short form of text files": (
        "- sky: stuff\n",
        r"line 2: unknown key 'sky'; known are: name, s",
    ),
    "not a name of its own": (
        "- {name: cat, not: [Cat]}\n",
        r"line 2: category 'cat' has 'Cat' among its names and under `not`; keep one",
    ),
    "nots": ("- {name: cat, nots: [dog]}\n", r"unknown key 'nots'; did you mean not\?"),
    "template": ("- {name: cat, templates: [a cat]}\n", r"template 'a cat'; write {} where"),
    "no is a boolean": ("- no\n", r"line 2: name is False; .*put quotes around it"),
    "a number": ("- 7\n", r"line 2: name is 7; .*put quotes around it"),
    "no name": ("- {id: 3}\n", r"line 2: `name:` is missing; add it"),
    "key twice": ("- name: a\n  name: b\n", r"line 3: key 'name' occurs twice; keep one"),
    "empty": ("", r"words\.yaml: classes is None; input should be a valid list"),
    "empty list": ("  []\n", r"words\.yaml: the vocabulary is empty"),
    "no date": ("- 2026-13-01\n", r"words\.yaml: not YAML \(month must be in"),
    "not YAML": ("- {name: a\n- b\n", r"words\.yaml, line \d: not YAML"),
    "an object": ("- !!python/object:os.system x\n", r"words\.yaml.*: not YAML"),
}


@pytest.mark.parametrize(("classes", "message"), WRONG.values(), ids=WRONG)
def test_a_fault_in_yaml_is_told_with_its_line(tmp_path: Path, classes: str, message: str) -> None:
    path = write(tmp_path, "classes:\n" + classes)
    with pytest.raises(VocabularyError, match=message) as caught:
        read_vocabulary(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"words\.yaml: the vocabulary is empty"),
        ("- cat\n- dog\n", r"words\.yaml: content is \['cat', 'dog'\]"),
        ("clases: [cat]\n", r"unknown key 'clases'; did you mean classes\?"),
        ("classes: [cat]\nclasses: [dog]\n", r"line 2: key 'classes' occurs twice"),
        ("classes: [cat]\nbackground: [Cat]\n", r"yaml: background word 'Cat' is a name of"),
        ("classes: [cat]\nbackground: [sky, sky ]\n", r"yaml: background word 'sky' occurs twice"),
        ("classes: [cat]\nbackgrounds: [sky]\n", r"unknown key 'backgrounds'; did you mean back"),
        ("classes: [\x07]\n", r"words\.yaml: not YAML"),
    ],
)
def test_a_yaml_file_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        read_vocabulary(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n\n", r"words\.txt: the vocabulary is empty"),
        (
            "cat\ndog\ncat\n",
            r"'cat' occurs twice \(.*words\.txt, line 1, .*words\.txt, line 3\)",
        ),
        ("wall, walls\n", r"words\.txt, line 1: comma in 'wall, walls'"),
        ("sky: stuf\n", r"words\.txt, line 1: after the colon of 'sky: stuf'"),
        ("sofa |\n", r"words\.txt, line 1: category 'sofa' has an empty name"),
    ],
)
def test_a_fault_in_a_text_file_is_told_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(VocabularyError, match=message):
        read_vocabulary(write(tmp_path, text, "words.txt"))


def test_a_picture_is_no_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(VocabularyError, match=r"cat\.png: no text file in UTF-8"):
        read_vocabulary(path)
    with pytest.raises(VocabularyError, match="it is a folder; name a file"):
        read_vocabulary(tmp_path)


def test_faults_on_the_command_line_name_the_class() -> None:
    with pytest.raises(VocabularyError, match=r"'cat' occurs twice \(class 1 of .*, class 3 of"):
        parse_classes("cat, dog, cat")
    with pytest.raises(VocabularyError, match="--classes: the vocabulary is empty"):
        parse_classes(" ,")


def test_an_unknown_name_gets_a_suggestion_and_else_the_list_of_shipped_ones() -> None:
    with pytest.raises(VocabularyError, match=r"coco-panoptic; did you mean coco-panoptic-133.*\?"):
        read_vocabulary("coco-panoptic")
    with pytest.raises(VocabularyError, match=r"shipped are: ade20k-150, .*cityscapes-19"):
        read_vocabulary("zzz/qqq.yaml")


def test_a_vocabulary_that_was_written_is_read_again(tmp_path: Path) -> None:
    categories = (
        Category("cat: big", 3, ('a "cat"', "Katze, große")),
        Category("no", 7, is_thing=False, color=(1, 2, 3), min_score=0.25),
    )
    words = Vocabulary("my words", categories)
    write_vocabulary(tmp_path / "words.yaml", words)
    assert read_vocabulary(tmp_path / "words.yaml") == words
