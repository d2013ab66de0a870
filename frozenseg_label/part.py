"""Images dealt out among people or machines: part 2 of 5 holds the same images for everybody."""

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Self

from frozenseg_label.errors import FrozenSegLabelError


@dataclass(frozen=True)
class Part:
    """A share of the images, by the hash of their names; new images change nobody's part.

    Attributes:
        number: from 1.
        of: how many parts there are.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise FrozenSegLabelError(
                f"there is no part {self.number}/{self.of}; the first of 5 is 1/5"
            )

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the part that a text like `2/5` names."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if found is None:
            raise FrozenSegLabelError(f"{text!r} is no part; the second of five is 2/5")
        return cls(int(found[1]), int(found[2]))

    def has(self, image: str) -> bool:
        """Return whether an image is in this part."""
        return lot_of(image) % self.of == self.number - 1


def lot_of(image: str) -> int:
    """Return the number that an image's name draws, 0 to 2^31 - 1."""
    digest = hashlib.sha256(os.fsencode(image)).digest()
    return int.from_bytes(digest[:4], "big") >> 1
