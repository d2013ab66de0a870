"""Errors that a user can correct; each says what is wrong, in which file, and what to do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SHOWN_PROBLEMS = 10

# What Pillow, torch, CUDA and the system say when they have no memory left; Python has a kind.
_OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")


class FrozenSegLabelError(Exception):
    """Anything that the user can correct; the command line prints it and exits with 1."""


class VocabularyError(FrozenSegLabelError):
    """A vocabulary that cannot be used: missing file, wrong form, duplicate or empty names."""


class ImageError(FrozenSegLabelError):
    """An image that cannot be read, or a folder without images."""


class TooLargeError(ImageError):
    """An image, or a batch that it is in, that needs more memory than there is."""


class CheckpointError(FrozenSegLabelError):
    """Weights that are missing, damaged, of another model, or in another format."""


class SettingsError(FrozenSegLabelError):
    """A recipe that cannot be used: missing file, unknown key, impossible number."""


class TrainingError(FrozenSegLabelError):
    """A training that cannot start or continue: labels that do not fit, a loss of NaN."""


class FormatError(FrozenSegLabelError):
    """A label file whose content is not correct in its format."""


class FaultyLabelsError(FormatError):
    """Labels that contradict themselves.

    Attributes:
        problems: all of them, of which the message has the first ones.
    """

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        shown = "; ".join(problems[:_SHOWN_PROBLEMS])
        more = len(problems) - _SHOWN_PROBLEMS
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{path}: {shown}{rest}. Correct it where it was made, and write it again")
        self.problems = tuple(problems)


class RunError(FrozenSegLabelError):
    """A run folder that is not ours, is in use, or has other weights, words or options."""


class ReviewError(FrozenSegLabelError):
    """A review that cannot be opened or saved: no database, unknown classes, no free port."""


@contextmanager
def enough_memory(image: object, size: str, place: str = "this machine") -> Iterator[None]:
    """Turn a lack of memory into a TooLargeError that names the image, its size and the remedy.

    Args:
        image: path or address of the file that the block works on.
        size: of it, in words.
        place: whose memory it is.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        in_words = any(words in f"{error}".lower() for words in _OUT_OF_MEMORY)
        if not in_words and not isinstance(error, MemoryError):
            raise
        raise TooLargeError(
            f"{image}: {size} need more memory than {place} has left; scale the image down, cut "
            "it into several files, or take a machine with more memory"
        ) from None
