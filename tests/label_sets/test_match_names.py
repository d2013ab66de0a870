"""One rule says which image of one set is which of another."""

import pytest

from frozenseg_label.label_sets.match_names import match_names


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("./a\\1.jpg", "a/1.jpg"),
        ("https://host/bucket/a/1.jpg?x=1", "1.jpg"),
        ("val2017/1.jpg", "1.jpg"),
        ("1.jpg", "photos/2024/1.jpg"),
        ("cafe\N{COMBINING ACUTE ACCENT}.jpg", "caf\N{LATIN SMALL LETTER E WITH ACUTE}.jpg"),
        ("1.png", "1.jpg"),
        ("1", "1.jpg"),
        ("ulm_000001_gtFine_panoptic.png", "ulm/ulm_000001_leftImg8bit.png"),
    ],
)
def test_two_names_of_one_image_meet(there: str, here: str) -> None:
    assert match_names([there], [here, "another/2.jpg"]).found == {there: here}


def test_folders_that_all_names_begin_with_do_not_count() -> None:
    there, here = ["set/dog/1.jpg", "set/cat/1.jpg"], ["dog/1.jpg", "cat/1.jpg"]
    assert match_names(there, here).found == dict(zip(there, here, strict=True))


def test_a_name_that_may_mean_two_images_is_told_with_both() -> None:
    matches = match_names(["1.jpg", "2.jpg"], ["dog/1.jpg", "cat/1.jpg", "cat/2.jpg"])
    assert matches.ambiguous == {"1.jpg": ("dog/1.jpg", "cat/1.jpg")}
    assert matches.found == {"2.jpg": "cat/2.jpg"}


def test_base_names_that_occur_twice_there_mean_nothing() -> None:
    matches = match_names(["x/1.jpg", "y/1.jpg"], ["1.jpg"])
    assert not matches.found
    assert set(matches.ambiguous) == {"x/1.jpg", "y/1.jpg"}


def test_two_names_of_one_image_are_told() -> None:
    matches = match_names(["a/1.jpg", "a\\1.jpg"], ["a/1.jpg"])
    assert matches.shared == {"a/1.jpg": ("a/1.jpg", "a\\1.jpg")}


def test_a_name_that_is_nowhere_is_unknown() -> None:
    assert match_names(["3.jpg"], ["1.jpg"]).unknown == ("3.jpg",)


def test_an_image_that_has_its_own_path_there_is_not_taken_by_another_folders() -> None:
    matches = match_names(["a/1.jpg", "b/1.jpg"], ["a/1.jpg", "a/2.jpg"])
    assert matches.found == {"a/1.jpg": "a/1.jpg"}
    assert matches.unknown == ("b/1.jpg",)
