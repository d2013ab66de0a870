"""The vocabulary files that come with the package."""

import re

import pytest

from frozenseg_label.vocabulary_files import read_vocabulary, shipped_vocabularies

COUNTS = {  # classes, things, names
    "ade20k-150": (150, 100, 402),
    "ade20k-847": (847, 0, 1341),
    "cityscapes-19": (19, 8, 60),
    "coco-panoptic-133": (133, 80, 254),
    "coco-stuff-171": (171, 80, 328),
    "lvis-1203": (1203, 1203, 1825),
    "mapillary-vistas-65": (65, 37, 152),
    "pascal-context-459": (459, 0, 559),
    "pascal-context-59": (59, 0, 160),
    "pascal-voc-21": (21, 20, 151),
    "street-19": (19, 8, 62),
}


def test_the_published_lists_are_shipped() -> None:
    assert set(COUNTS) <= set(shipped_vocabularies())


@pytest.mark.parametrize("name", sorted(shipped_vocabularies()))
def test_a_shipped_file_reads_and_its_header_tells_source_licence_and_counts(name: str) -> None:
    vocabulary = read_vocabulary(name)
    assert vocabulary.name == name
    things = sum(category.is_thing for category in vocabulary.categories)
    stuff, names = len(vocabulary) - things, len(vocabulary.all_names())
    assert COUNTS.get(name, (len(vocabulary), things, names)) == (len(vocabulary), things, names)

    text = shipped_vocabularies()[name].read_text(encoding="utf-8")
    comment = re.match(r"(?:#.*\n)+", text)
    assert comment
    header = " ".join(comment.group().replace("#", " ").split())
    counts = f"{len(vocabulary)} classes ({things} things, {stuff} stuff), {names} names"
    assert counts in header
    assert "Source:" in header
    assert "Licence:" in header


def test_ids_and_names_are_those_of_the_datasets() -> None:
    coco = read_vocabulary("coco-panoptic-133")
    assert coco.by_id(1).name == "person"
    assert coco.by_id(200).name == "rug"
    assert coco.by_id(1).color == (220, 20, 60)
    assert not coco.by_id(200).is_thing
    assert read_vocabulary("ade20k-150").by_id(0).names[:2] == ("wall", "walls")
    assert read_vocabulary("cityscapes-19").by_id(33).name == "bicycle"


def test_classes_of_ade20k_that_share_a_name_are_told_apart_and_keep_it_as_a_synonym() -> None:
    bags = [c.name for c in read_vocabulary("ade20k-847").categories if "bag" in c.names]
    assert bags == ["bag", "traveling bag", "handbag"]


def test_streets_are_cityscapes_classes_without_the_odd_synonyms_and_both_headers_say_so() -> None:
    plain, research = read_vocabulary("street-19"), read_vocabulary("cityscapes-19")
    assert [(c.name, c.id, c.is_thing, c.color) for c in plain.categories] == [
        (c.name, c.id, c.is_thing, c.color) for c in research.categories
    ]
    odd = {"railroad", "ceiling", "river", "sea", "snow", "mountain"}
    assert odd <= set(research.all_names())
    assert not odd & set(plain.all_names())
    names = plain.all_names()
    assert len(set(names)) == len(names)  # no name is in two classes
    files = shipped_vocabularies()
    assert "take cityscapes-19" in files["street-19"].read_text(encoding="utf-8")
    header = files["cityscapes-19"].read_text(encoding="utf-8").replace("\n# ", " ")
    assert "take street-19" in header
