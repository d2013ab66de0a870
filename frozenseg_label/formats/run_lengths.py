"""Run lengths of masks: made, unpacked, and checked where anybody may have written them.

COCO counts column by column, outside and inside by turns. Its texts are as pycocotools writes them:
five bits a character, and from the third count on the difference to the count before the last.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import FormatError

_LONGEST = 7  # characters of one count: 35 bits
_FIRST = 48  # the character of 0


def coco_mask(counts: object, height: int, width: int, place: str) -> NDArray[np.bool_]:
    """Return the mask [H, W] of COCO's `counts`, a text or a list; FormatError: they do not fit.

    Args:
        place: what an error begins with: the file and the entry.
    """
    runs = _unpacked(counts, place) if isinstance(counts, str) else whole_numbers(counts, place)
    return unpacked(runs, height * width, place).reshape(width, height).T


def runs_of(pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the run lengths of pixels [N], outside and inside by turns; the first may be 0."""
    whole = np.concatenate(([False], pixels))  # [1 + N]
    starts = np.flatnonzero(whole[1:] != whole[:-1])
    return np.diff(starts, prepend=0, append=pixels.size)


def pixels_of(runs: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the pixels [N] of run lengths that fit."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


def unpacked(runs: NDArray[np.int64], pixels: int, place: str) -> NDArray[np.bool_]:
    """Return the pixels of runs, outside and inside by turns [N]; FormatError: not so many."""
    # Checked one by one first: their sum may not be what the numbers say.
    if len(runs) and (runs.min() < 0 or runs.max() > pixels):
        raise FormatError(f"{place}: run lengths below 0, or above the {pixels} pixels there are")
    if len(runs) > 2 * pixels + 2 or int(runs.sum()) != pixels:
        raise FormatError(f"{place}: run lengths that do not sum to {pixels} pixels")
    return pixels_of(runs)


def whole_numbers(values: object, place: str) -> NDArray[np.int64]:
    """Return a list of whole numbers [N]; FormatError: it is none."""
    is_list = isinstance(values, list) and all(type(value) is int for value in values)
    if not is_list or any(abs(value) > 2**40 for value in values):  # type: ignore[attr-defined]
        raise FormatError(f"{place}: run lengths must be whole numbers; write it again")
    return np.array(values, dtype=np.int64)


def _unpacked(text: str, place: str) -> NDArray[np.int64]:
    """Return the counts in a text of COCO's [N]."""
    signs = np.frombuffer(text.encode("latin-1", "replace"), dtype=np.uint8).astype(np.int64)
    signs -= _FIRST
    if not len(signs):
        return signs
    last = (signs & 0x20) == 0  # of its count
    if signs.min() < 0 or signs.max() > 63 or not last[-1]:
        raise FormatError(f"{place}: no text of COCO's run lengths; write it again")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        raise FormatError(f"{place}: a run length of more than 35 bits; write it again")
    digits = np.arange(len(signs)) - np.repeat(starts, lengths)
    values = np.add.reduceat((signs & 0x1F) << (5 * digits), starts)
    values -= np.where(signs[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])  # the first two and the third are not differences
    values[2::2] = np.cumsum(values[2::2])
    return values
