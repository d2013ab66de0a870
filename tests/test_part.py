"""Images dealt out by the hash of their names."""

import pytest

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.part import Part


def test_every_image_is_in_one_part_and_stays_there() -> None:
    images = [f"{number}.jpg" for number in range(1000)]
    parts = [{image for image in images if Part(k, 5).has(image)} for k in range(1, 6)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 1000
    assert all(150 < len(part) < 250 for part in parts)
    assert Part(1, 1).has("a.jpg")
    assert Part.parse("2/5").has("0.jpg") == ("0.jpg" in parts[1])


@pytest.mark.parametrize("text", ["0/5", "6/5", "2", "a/b", "2/5/7"])
def test_what_is_no_part_is_told(text: str) -> None:
    with pytest.raises(FrozenSegLabelError, match="part"):
        Part.parse(text)
