"""Train, val and test: an image stays where it is, whatever comes beside it."""

from pathlib import Path

import pytest

from frozenseg_label.exchange.export_places import part_of, places_of, shares_of


def test_a_split_is_two_or_three_numbers() -> None:
    assert shares_of("80/10/10") == (0.8, 0.1, 0.1)
    assert shares_of("3/1") == (0.75, 0.25)
    for wrong in ("80", "80/x", "80/0/20", "1/1/1/1", "nan/1", "-1/2"):
        with pytest.raises(ValueError, match="80/10/10"):
            shares_of(wrong)


def test_the_parts_have_about_the_shares_asked_for() -> None:
    parts = places_of([f"{number}.jpg" for number in range(2000)], Path, (0.8, 0.1, 0.1))
    assert list(parts) == ["train", "val", "test"]
    assert [round(len(places) / 2000, 1) for places in parts.values()] == [0.8, 0.1, 0.1]


def test_more_images_move_none() -> None:
    few = places_of(["a.jpg", "b.jpg", "c.jpg"], Path, (0.5, 0.5))
    many = places_of([f"{letter}.jpg" for letter in "abcdefgh"], Path, (0.5, 0.5))
    for part, places in few.items():
        assert set(places) <= set(many[part])


def test_images_of_one_folder_stay_together_where_that_is_asked_for() -> None:
    names = [f"film{film}/{frame}.jpg" for film in range(20) for frame in range(5)]
    found = {(name[:6], part_of(name, (0.5, 0.5), by_folder=True)) for name in names}
    assert len(found) == len({film for film, _ in found})
    assert {part for _, part in found} == {"train", "val"}


def test_of_images_with_one_stem_the_later_ones_keep_their_suffix() -> None:
    places = places_of(["d/1.jpg", "d/1.PNG", "D/1.jpg", "2.jpg"], Path)[""]
    assert [place.stem for place in places] == ["d/1", "d/1.PNG", "D/1.jpg", "2"]


def test_a_name_without_suffix_takes_that_of_the_picture() -> None:
    (place,) = places_of(["d/1"], lambda name: Path("photos", f"{name}.webp"))[""]
    assert (place.file_name, place.stem, place.suffix) == ("d/1.webp", "d/1", ".webp")
    (place,) = places_of(["d/1.jpg"], lambda _: None)[""]
    assert (place.file_name, place.suffix) == ("d/1.jpg", ".jpg")
