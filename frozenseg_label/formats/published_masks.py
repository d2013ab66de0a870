"""Reads truth as data sets publish it: PNGs whose values are classes by the set's own table.

The classes, with their ids, are those of the shipped vocabulary of the set.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.class_png import ClassPngFolder, read_class_values
from frozenseg_label.formats.published_layouts import (
    CITYSCAPES_INSTANCES,
    LAYOUTS,
    PublishedSet,
)
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment
from frozenseg_label.vocabulary_files import read_vocabulary

_INSTANCES = 1000  # Cityscapes: an object has the value 1000 * class + number


@dataclass(frozen=True)
class PublishedMasks:
    """The masks of a published set.

    Attributes:
        pngs: their folder, vocabulary and values.
        picture: as of `PublishedLayout`.
    """

    pngs: ClassPngFolder
    picture: str

    @property
    def has_segments(self) -> bool:
        """Return whether the objects of a class are told apart."""
        return self.pngs.ending == CITYSCAPES_INSTANCES

    def read_segments(self, image: str) -> PanopticMap:
        """Return the map of an image whose PNG tells objects apart.

        As in Cityscapes' own panoptic images: an object is a segment, and what a person could not
        divide into objects is a crowd.
        """
        values = read_class_values(self.pngs.png(image))  # [H, W]
        classes, segments = self.pngs.classes, list[Segment]()
        ids = np.full(int(values.max(initial=0)) + 1, UNLABELLED, np.int32)  # of each value
        for value in np.unique(values).tolist():
            is_object = value >= _INSTANCES
            class_value = value // _INSTANCES if is_object else value
            if class_value not in classes:
                raise FormatError(
                    f"{self.pngs.png(image)}: value {value} is no class and no object of "
                    f"{self.pngs.vocabulary.name}; take the file as it was published"
                )
            place = classes[class_value]
            if not place:
                continue
            category = self.pngs.vocabulary.categories[place - 1]
            ids[value] = len(segments) + 1
            segments.append(
                Segment(
                    len(segments) + 1,
                    category.id,
                    category.is_thing,
                    is_crowd=category.is_thing and not is_object,
                )
            )
        return PanopticMap.of(ids[values], segments)


def read_published_masks(
    path: Path, published: PublishedSet, ignore_index: int | None = None
) -> PublishedMasks:
    """Open the masks of a data set in the folders that it comes in; FormatError: there are none.

    Args:
        path: of their folder, of one below it (a part: `val`), or of the one above it.
        published: the data set.
        ignore_index: pixel value that means unlabelled, beside those of the set.
    """
    layout = LAYOUTS[published]
    folder = path / layout.folder if (path / layout.folder).is_dir() else path
    words = read_vocabulary(layout.vocabulary)
    for ending, table in layout.tables.items():
        found = sorted(png.relative_to(folder).as_posix() for png in folder.rglob(f"*{ending}"))
        if found:
            classes = table(words) | ({} if ignore_index is None else {ignore_index: 0})
            images = tuple(name.removesuffix(ending) for name in found)
            pngs = ClassPngFolder(folder, words, images, classes, ending, tells_kinds=True)
            return PublishedMasks(pngs, layout.picture)
    wanted = ", ".join(f"*{ending}" for ending in layout.tables)
    raise FormatError(
        f"{folder}: has no files {wanted}, as {published} publishes them; name the folder "
        f"{layout.folder} or one of its parts"
    )
