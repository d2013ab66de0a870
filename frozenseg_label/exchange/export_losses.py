"""What a format cannot hold of certain labels, counted before anything is written."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from frozenseg_label.label_sets.label_set import ImageLabels
from frozenseg_label.panoptic import PanopticMap, Segment

Fact = Literal[
    "stuff", "holes", "parts", "instances", "kinds", "scores", "second classes", "states",
    "crowds", "refusals",
]  # fmt: skip
ALL: frozenset[Fact] = frozenset(get_args(Fact))
CORNERS_TOO = np.ones((3, 3), dtype=bool)  # pixels that touch there belong together, as in outlines
IN_PIXELS: frozenset[Fact] = frozenset({"holes", "parts"})  # to count them, maps are read

_SAID: dict[Fact, str] = {
    "stuff": "segments of stuff (left out)",
    "holes": "segments with holes (filled)",
    "parts": "segments of several parts (joined by lines)",
    "instances": "segments beside another one of their class (not told apart)",
    "kinds": "segments of stuff (not told from things)",
    "scores": "scores",
    "second classes": "second classes",
    "states": "segments that a person accepted or drew (not told from proposals)",
    "crowds": "crowds (they look like one object)",
    "refusals": "segments that a person refused (forgotten)",
}


def said_losses(lost: Mapping[Fact, int]) -> str:
    """Return the losses as words."""
    return ", ".join(f"{count} {_SAID[fact]}" for fact, count in lost.items())


def count_facts(labels: ImageLabels, segments: Collection[Segment], left_out: int) -> Counter[Fact]:
    """Return how much there is to lose in an image, so far as no pixel tells it.

    Args:
        segments: those that are exported.
        left_out: segments of stuff that are not.
    """
    of_class = Counter(segment.category_id for segment in segments)
    return Counter(
        {
            "stuff": left_out,
            "instances": sum(count for count in of_class.values() if count > 1),
            "kinds": sum(not segment.is_thing for segment in segments),
            "scores": sum(segment.score is not None for segment in segments),
            "second classes": sum(segment.second is not None for segment in segments),
            "states": sum(segment.is_owned for segment in segments),
            "crowds": sum(segment.is_crowd for segment in segments),
            "refusals": len(labels.rejected),
        }
    )


def count_outlines(panoptic_map: PanopticMap) -> Counter[Fact]:
    """Return how many segments have holes, and how many have several parts."""
    found = Counter[Fact]()
    for segment in panoptic_map.segments:
        x, y, w, h = segment.bbox
        mask = panoptic_map.ids[y : y + h, x : x + w] == segment.id
        around = np.ones((h + 2, w + 2), dtype=bool)
        around[1:-1, 1:-1] = ~mask
        found["holes"] += ndimage.label(around)[1] > 1
        found["parts"] += ndimage.label(mask, CORNERS_TOO)[1] > 1
    return found


def losses(found: Iterable[Counter[Fact]], kept: Collection[Fact]) -> dict[Fact, int]:
    """Return what is lost of all that was found in the images."""
    total = Counter[Fact]()
    for counts in found:
        total += counts
    return {fact: total[fact] for fact in get_args(Fact) if total[fact] and fact not in kept}
