"""What does not fit when labels come in, by remedy: all of it is told at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from frozenseg_label.errors import FormatError

MEND = "correct the labels where they were made, and write them again"
ADD_CLASS = (
    "say what the class is with --class-map FILE (a line `their name: our name`, or `null` to "
    "leave it out), or annotate with a vocabulary that has it (--update)"
)
NAME_IMAGES = "write the images' paths below the folder that was annotated as their file_name"
RESTORE = "restore the run's file, or annotate that image again"
OVERWRITE = "take these images out, or give --overwrite to replace what people did in the run"


@dataclass
class Problems:
    """What does not fit, in the order in which it was found.

    Attributes:
        found: sentences by remedy.
    """

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, remedy: str, problems: Iterable[str]) -> None:
        """Note problems that have a remedy in common."""
        for problem in problems:
            self.found.setdefault(remedy, []).append(problem)

    def refuse(self, source: Path) -> None:
        """Raise one FormatError with all of them; does nothing where there are none."""
        lines = []
        for remedy, problems in self.found.items():
            lines += [f"  {problem}" for problem in problems] + [f"    -> {remedy}"]
        if lines:
            raise FormatError("\n".join([f"{source}: nothing was imported:", *lines]))
