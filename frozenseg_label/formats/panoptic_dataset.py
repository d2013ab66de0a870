"""Reading COCO panoptic: ours, or that of any other tool.

What labels need is read, all else is ignored. One faulty entry does not make the others worthless:
it is left out and told, and so is what was passed over.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from frozenseg_label.documents import read_json
from frozenseg_label.errors import FaultyLabelsError, FormatError
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    read_panoptic_png,
)
from frozenseg_label.formats.coco_rows import (
    AnnotationRow,
    AnyRow,
    CategoryRow,
    Id,
    ImageRow,
    vocabulary_of_rows,
)
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
        annotations: in the order of the JSON; areas and boxes of segments come with the PNG, and
            are 0 here, like widths and heights that the JSON does not tell.
        faults: what is wrong with annotations that were left out, a sentence for each fault.
        notes: what was passed over, though nothing is wrong with it.
    """

    path: Path
    folder: Path
    vocabulary: Vocabulary
    annotations: tuple[PanopticAnnotation, ...]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.annotations)

    def __iter__(self) -> Iterator[tuple[PanopticAnnotation, PanopticMap]]:
        for annotation in self.annotations:
            yield annotation, self.read_map(annotation)

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
    document = _read_document(path)
    images, categories = _images_and_categories(path, document, like)
    rows, faults = _read_annotations(document)
    notes = []
    used = {info.category_id for row in rows for info in row.segments_info}
    named = (row for row in categories if row.name.strip() or row.id in used)
    vocabulary = vocabulary_of_rows(path, named)
    by_id = {image.id: image for image in images}
    faults += [f"image {id_} is listed twice" for id_ in _twice(image.id for image in images)]
    twice = set(_twice(row.image_id for row in rows))
    faults += [f"image {id_} has two annotations" for id_ in twice]
    annotations = []
    for row in rows:
        found = _faults(row, folder, vocabulary)
        faults += found
        image = by_id.get(row.image_id)
        if image is not None and not found and row.image_id not in twice:
            annotations.append(_annotation(row, image, vocabulary, trust_states))
    annotated = {row.image_id for row in rows}
    if missing := len(by_id.keys() - annotated):
        notes.append(f"{missing} images have no annotation; they were passed over")
    if strange := len(annotated - by_id.keys()):
        notes.append(f"{strange} annotations are of no listed image; they were passed over")
    if faults and not annotations:
        raise FaultyLabelsError(path, faults)
    return PanopticDataset(
        path, folder, vocabulary, tuple(annotations), tuple(faults), tuple(notes)
    )


def _read_document(path: Path) -> Mapping[str, Any]:
    document = read_json(path, FormatError)
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        raise FormatError(f"{path}: has no list of `annotations`; name a COCO panoptic JSON")
    return document


def _images_and_categories(
    path: Path, document: Mapping[str, Any], like: PanopticDataset | None
) -> tuple[list[ImageRow], list[CategoryRow]]:
    """Return both lists, from the other set where the document has none."""
    lacking = [name for name in ("images", "categories") if document.get(name) is None]
    if lacking and like is None:
        raise FormatError(
            f"{path}: has no `{lacking[0]}`; a file that has only predictions can be read beside "
            "the COCO panoptic JSON that they are predictions for"
        )
    images = (
        [ImageRow(id=a.image_id, file_name=a.file_name) for a in like.annotations]
        if like is not None and "images" in lacking
        else _checked(path, document, "images", ImageRow)
    )
    categories = (
        [
            CategoryRow(
                id=c.id, name=c.name, isthing=c.is_thing, color=c.color, synonyms=c.synonyms
            )
            for c in like.vocabulary.categories
        ]
        if like is not None and "categories" in lacking
        else _checked(path, document, "categories", CategoryRow)
    )
    if like is not None and "images" in lacking:
        rows = (row for row in document["annotations"] if isinstance(row, dict))
        wanted = {str(row.get("image_id")) for row in rows}
        images = [image for image in images if str(image.id) in wanted]
    return images, categories


def _checked(
    path: Path, document: Mapping[str, Any], name: str, kind: type[AnyRow]
) -> list[AnyRow]:
    rows = document[name]
    if not isinstance(rows, list):
        raise FormatError(f"{path}: `{name}` is no list; write it again")
    problems, found = [], []
    for place, row in enumerate(rows):
        try:
            found.append(kind.model_validate(row))
        except ValidationError as error:
            problems += _sentences(f"{name}.{place}", error)
    if problems:
        raise FaultyLabelsError(path, problems)
    return found


def _read_annotations(document: Mapping[str, Any]) -> tuple[list[AnnotationRow], list[str]]:
    """Return the annotations that can be read, and what is wrong with the others."""
    rows, faults = [], []
    for place, row in enumerate(document["annotations"]):
        name = row.get("file_name") if isinstance(row, dict) else None
        try:
            # Not model_validate_json: it refuses the escapes of file names that are no Unicode.
            rows.append(AnnotationRow.model_validate(row))
        except ValidationError as error:
            faults += _sentences(f"{name or f'annotations.{place}'}", error)
    return rows, faults


def _sentences(where: str, error: ValidationError) -> list[str]:
    return [
        f"{'.'.join([where, *map(str, fault['loc'])])}: {fault['msg']}" for fault in error.errors()
    ]


def _twice(ids: Iterator[Id]) -> list[Id]:
    return [id_ for id_, count in Counter(ids).items() if count > 1]


def _faults(row: AnnotationRow, folder: Path, vocabulary: Vocabulary) -> list[str]:
    """Return what is wrong in one annotation."""
    known = {category.id for category in vocabulary.categories}
    faults = [f"{row.file_name}: id {id_} twice" for id_ in _twice(i.id for i in row.segments_info)]
    faults += [
        f"{row.file_name}: segment {info.id} has category {info.category_id}, which is unknown"
        for info in row.segments_info
        if info.category_id not in known
    ]
    if not (folder / row.file_name).is_file():
        faults.append(f"{folder / row.file_name} is missing")
    return faults


def _annotation(
    row: AnnotationRow, image: ImageRow, vocabulary: Vocabulary, trust_states: bool
) -> PanopticAnnotation:
    segments = tuple(
        info.segment(vocabulary.by_id(info.category_id).is_thing, 0, (0, 0, 0, 0))
        for info in row.segments_info
    )
    if not trust_states:
        segments = tuple(segment.accepted() for segment in segments)
    return PanopticAnnotation(
        row.image_id,
        image.file_name or row.file_name,
        row.file_name,
        image.width,
        image.height,
        segments,
        row.state if trust_states else "reviewed",
    )
