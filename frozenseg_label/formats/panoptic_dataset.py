"""Reading COCO panoptic: ours, or that of any other tool.

One faulty entry does not make the others worthless: it is left out and told, and so is what was
passed over. The JSON may be larger than the memory: an image's annotation is read again when it is
asked for.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import FaultyLabelsError
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    read_panoptic_png,
)
from frozenseg_label.formats.coco_rows import AnnotationRow, Id, vocabulary_of_rows
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.formats.panoptic_rows import ImagePlace, PanopticRows
from frozenseg_label.panoptic import PanopticMap, measure, placed
from frozenseg_label.vocabulary import Vocabulary

_SHOWN_IDS = 100


@dataclass(frozen=True)
class PanopticDataset:
    """The images of one panoptic JSON; iterating reads one PNG after the other.

    Attributes:
        path: of the JSON.
        folder: of the PNGs.
        vocabulary: the JSON's `categories`.
        images: in the order of the JSON.
        trust_states: as of `read_coco_panoptic`.
        faults: what is wrong with annotations that were left out, a sentence for each fault.
        notes: what was passed over, though nothing is wrong with it.
    """

    path: Path
    folder: Path
    vocabulary: Vocabulary
    images: tuple[ImagePlace, ...]
    trust_states: bool
    _read: Callable[[RowPlace], AnnotationRow]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[tuple[PanopticAnnotation, PanopticMap]]:
        for annotation in self.annotations:
            yield annotation, self.read_map(annotation)

    @property
    def annotations(self) -> Iterator[PanopticAnnotation]:
        """Yield what the JSON says of each image, in its order."""
        return map(self.annotation, self.images)

    def annotation(self, image: ImagePlace) -> PanopticAnnotation:
        """Return what the JSON says of one image.

        Areas and boxes of segments come with the PNG, and are 0 here, like widths and heights that
        the JSON does not tell.
        """
        row = self._read(image.place)
        segments = tuple(
            info.segment(self.vocabulary.by_id(info.category_id).is_thing, 0, (0, 0, 0, 0))
            for info in row.segments_info
        )
        if not self.trust_states:
            segments = tuple(segment.accepted() for segment in segments)
        return PanopticAnnotation(
            image_id=image.image_id,
            file_name=image.file_name,
            png_name=image.png_name,
            width=image.width,
            height=image.height,
            segments=segments,
            state=row.state if self.trust_states else "reviewed",
        )

    def read_map(self, annotation: PanopticAnnotation) -> PanopticMap:
        """Return the map of one image; FormatError lists where PNG and JSON differ."""
        ids = read_panoptic_png(self.folder / annotation.png_name)
        problems, height, width, measured = [], *ids.shape, measure(ids)
        if (annotation.width or width, annotation.height or height) != (width, height):
            stated = f"{annotation.width} x {annotation.height}"
            problems.append(f"the PNG is {width} x {height}, the JSON says {stated}")
        listed = np.array([segment.id for segment in annotation.segments], np.int64)
        found = np.array(list(measured), np.int64)
        problems += _only(np.setdiff1d(found, listed, assume_unique=True), "is in the PNG only")
        problems += _only(np.setdiff1d(listed, found, assume_unique=True), "is in the JSON only")
        if problems:
            raise FaultyLabelsError(self.folder / annotation.png_name, problems)
        return PanopticMap(ids, placed(annotation.segments, measured))


def _only(ids: NDArray[np.integer], what: str) -> list[str]:
    """Return a sentence for each id; a picture that is no label map may have millions."""
    told = [f"id {id_} {what}" for id_ in ids[:_SHOWN_IDS].tolist()]
    more = len(ids) - _SHOWN_IDS
    return [*told, f"{more} more: each {what}"] if more > 0 else told


def read_coco_panoptic(
    path: Path,
    folder: Path | None = None,
    *,
    like: PanopticDataset | None = None,
    trust_states: bool = False,
) -> PanopticDataset:
    """Open a COCO panoptic JSON; PNGs are read when iterating.

    FormatError: it is no such JSON, or none of its annotations is without faults.

    Args:
        path: of the JSON.
        folder: of the PNGs; None: the folder named like the JSON, without its suffix, beside it.
        like: tells the images and categories of a JSON that has only annotations.
        trust_states: believe `state` of images and segments; else all of it is truth, because other
            tools hand on fields that they do not know.
    """
    folder = path.with_suffix("") if folder is None else folder
    said = PanopticRows(path)
    if like is None:
        said.complete(None, None)
    else:
        said.complete(like.images, like.vocabulary)
    named = (row for row in said.categories if row.name.strip() or row.id in said.used)
    vocabulary = vocabulary_of_rows(path, named)
    images, faults = _without_faults(said, folder, vocabulary)
    if faults and not images:
        raise FaultyLabelsError(path, faults)
    notes = tuple(_notes(said))
    return PanopticDataset(path, folder, vocabulary, images, trust_states, said.read, faults, notes)


def _without_faults(
    said: PanopticRows, folder: Path, vocabulary: Vocabulary
) -> tuple[tuple[ImagePlace, ...], tuple[str, ...]]:
    """Return the images whose annotation has no fault, and the faults of all others."""
    faults = [*said.faults]
    faults += [f"image {id_} is listed twice" for id_ in said.listed_twice]
    twice = _twice(annotation.image_id for annotation in said.annotations)
    faults += [f"image {id_} has two annotations" for id_ in twice]
    unknown = said.used - {category.id for category in vocabulary.categories}
    images, refused = [], set(twice)
    for annotation in said.annotations:
        found = []
        if unknown or annotation.place in said.doubled:
            found += _faults(said.read(annotation.place), unknown)
        if not (folder / annotation.png_name).is_file():
            found.append(f"{folder / annotation.png_name} is missing")
        faults += found
        image = said.images.get(annotation.image_id)
        if image is not None and not found and annotation.image_id not in refused:
            images.append(
                ImagePlace(
                    annotation.image_id,
                    image.file_name or annotation.png_name,
                    annotation.png_name,
                    image.width,
                    image.height,
                    annotation.place,
                )
            )
    return tuple(images), tuple(faults)


def _faults(row: AnnotationRow, unknown: Collection[int]) -> list[str]:
    """Return what is wrong with the segments of one annotation.

    Args:
        unknown: ids of categories that the JSON does not have.
    """
    faults = [f"{row.file_name}: id {id_} twice" for id_ in _twice(i.id for i in row.segments_info)]
    return faults + [
        f"{row.file_name}: segment {info.id} has category {info.category_id}, which is unknown"
        for info in row.segments_info
        if info.category_id in unknown
    ]


def _twice(ids: Iterator[Id]) -> list[Id]:
    return [id_ for id_, count in Counter(ids).items() if count > 1]


def _notes(said: PanopticRows) -> Iterator[str]:
    """Yield sentences about images and annotations without each other."""
    annotated = {annotation.image_id for annotation in said.annotations}
    if missing := len(said.images.keys() - annotated):
        yield f"{missing} images have no annotation; they were passed over"
    if strange := len(annotated - said.images.keys()):
        yield f"{strange} annotations are of no listed image; they were passed over"
