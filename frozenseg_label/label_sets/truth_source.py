"""True labels: in a form that is seen from what is there, or as a data set publishes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.class_png import read_class_png_folder
from frozenseg_label.formats.published_layouts import PublishedSet
from frozenseg_label.formats.published_masks import PublishedMasks, read_published_masks
from frozenseg_label.label_sets.label_set import (
    ImageLabels,
    LabelSet,
    open_class_pngs,
    open_coco_panoptic,
)
from frozenseg_label.label_sets.open_label_set import form_of, open_label_set


@dataclass(frozen=True)
class TruthSource:
    """Where true labels are, and what a user says of them.

    Attributes:
        path: of the folder or file.
        published: the data set that they are of; None: their form is seen from what is there.
        ignore_index: pixel value of class PNGs that means unlabelled; None: only those of the form.
    """

    path: Path
    published: PublishedSet | None = None
    ignore_index: int | None = None

    @contextmanager
    def open(self, pictures: Path | None) -> Iterator[LabelSet]:
        """Yield the labels; FormatError: they are in no form that can be read.

        Args:
            pictures: folder of the pictures; None: where the labels say.
        """
        if self.published is not None:
            yield self._open_published(self.published, pictures)
        elif self.ignore_index is not None:
            form, place = form_of(self.path)
            if form != "class-png":
                raise FormatError(
                    f"{self.path}: --ignore-index is for PNGs of classes, and this is {form}; "
                    "leave it out, or say --truth-format"
                )
            yield open_class_pngs(read_class_png_folder(place, self.ignore_index), pictures)
        else:
            with open_label_set(self.path, pictures) as labels:
                yield labels

    def _open_published(self, published: PublishedSet, pictures: Path | None) -> LabelSet:
        if published == "cityscapes" and self.path.is_file():  # made by its createPanopticImgs
            return open_coco_panoptic(self.path, pictures)
        masks = read_published_masks(self.path, published, self.ignore_index)
        labels = open_class_pngs(masks.pngs, pictures, masks.picture)
        return _with_segments(labels, masks) if masks.has_segments else labels


def _with_segments(labels: LabelSet, masks: PublishedMasks) -> LabelSet:
    """Return the set with the objects that its PNGs tell apart."""

    def labels_of(image: str) -> ImageLabels:
        return ImageLabels(masks.read_segments(image).segments, "reviewed")

    return replace(
        labels,
        form="cityscapes",
        labels_of=labels_of,
        read_map=masks.read_segments,
        foreign=None,
    )
