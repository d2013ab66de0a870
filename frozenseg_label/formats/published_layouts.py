"""How data sets publish their class PNGs: folders, names of files, and what the values mean.

Light: the command line reads the names of the sets here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from frozenseg_label.vocabulary import Vocabulary

PublishedSet = Literal["cityscapes", "ade20k", "voc", "coco-stuff"]

VOID = 255  # what most sets write where nothing is labelled
CITYSCAPES_INSTANCES = "_gtFine_instanceIds.png"
_CITYSCAPES_LABELS = 34  # ids 0..33; the shipped list has the evaluated ones

_Table = Callable[["Vocabulary"], dict[int, int]]  # pixel value -> class 1..K, 0: unlabelled


@dataclass(frozen=True)
class PublishedLayout:
    """How a data set publishes its class PNGs.

    Attributes:
        vocabulary: name of the shipped one.
        folder: of the PNGs, where a folder above it is named.
        tables: ending of the PNGs' names -> meaning of their values; the first ending of which
            there are files counts.
        picture: what a picture's name has after that of the image, before its suffix.
    """

    vocabulary: str
    folder: str
    tables: Mapping[str, _Table]
    picture: str = ""


def _by_id(words: "Vocabulary", shift: int, *void: int) -> dict[int, int]:
    """Return the table of a set whose values are our ids and `shift`; `void` is unlabelled."""
    places = enumerate(words.categories, start=1)
    return dict.fromkeys(void, 0) | {category.id + shift: place for place, category in places}


def _cityscapes_ids(words: "Vocabulary") -> dict[int, int]:
    return _by_id(words, 0, *range(_CITYSCAPES_LABELS), VOID)


def _cityscapes_train_ids(words: "Vocabulary") -> dict[int, int]:
    return {VOID: 0} | {place: place + 1 for place in range(len(words))}


LAYOUTS: Mapping[PublishedSet, PublishedLayout] = {
    "cityscapes": PublishedLayout(
        "cityscapes-19",
        "gtFine",
        {
            CITYSCAPES_INSTANCES: _cityscapes_ids,  # of value // 1000 where it is above 1000
            "_gtFine_labelIds.png": _cityscapes_ids,
            "_gtFine_labelTrainIds.png": _cityscapes_train_ids,
        },
        picture="_leftImg8bit",
    ),
    "ade20k": PublishedLayout(  # 0 is "other"
        "ade20k-150", "annotations", {".png": lambda words: _by_id(words, 1, 0)}
    ),
    "voc": PublishedLayout(
        "pascal-voc-21", "SegmentationClass", {".png": lambda words: _by_id(words, 0, VOID)}
    ),
    "coco-stuff": PublishedLayout(  # values are one less than the ids
        "coco-stuff-171", "stuffthingmaps", {".png": lambda words: _by_id(words, -1, VOID)}
    ),
}
