"""Reading COCO panoptic: ours, or that of any other tool, with what is wrong in it told at once."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from frozenseg_label.errors import FormatError, VocabularyError
from frozenseg_label.formats.coco_panoptic import PanopticAnnotation, SegmentInfo, read_panoptic_png
from frozenseg_label.panoptic import UNLABELLED, ImageState, PanopticMap
from frozenseg_label.vocabulary import NO_COLOR, Category, Color, Vocabulary

_SHOWN_PROBLEMS = 10


class FaultyLabelsError(FormatError):
    """Labels that contradict themselves.

    Attributes:
        problems: all of them, of which the message has the first ones.
    """

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        shown = "; ".join(problems[:_SHOWN_PROBLEMS])
        more = len(problems) - _SHOWN_PROBLEMS
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{path}: {shown}{rest}. Mend it where it was made, and write it again")
        self.problems = tuple(problems)


@dataclass(frozen=True)
class PanopticDataset:
    """The images of one panoptic JSON; iterating reads one PNG after the other.

    Attributes:
        path: of the JSON.
        folder: of the PNGs.
        vocabulary: the JSON's `categories`.
        annotations: in the order of the JSON; areas and boxes of segments come with the PNG, and
            are 0 here, like widths and heights that the JSON does not tell.
    """

    path: Path
    folder: Path
    vocabulary: Vocabulary
    annotations: tuple[PanopticAnnotation, ...]

    def __len__(self) -> int:
        return len(self.annotations)

    def __iter__(self) -> Iterator[tuple[PanopticAnnotation, PanopticMap]]:
        for annotation in self.annotations:
            yield annotation, self.read_map(annotation)

    def read_map(self, annotation: PanopticAnnotation) -> PanopticMap:
        """Return the map of one image; FormatError lists where PNG and JSON differ."""
        ids = read_panoptic_png(self.folder / annotation.png_name)
        problems, height, width = [], *ids.shape
        if (annotation.width or width, annotation.height or height) != (width, height):
            stated = f"{annotation.width} x {annotation.height}"
            problems.append(f"the PNG is {width} x {height}, the JSON says {stated}")
        panoptic_map = PanopticMap.of(ids, annotation.segments)
        listed = {segment.id for segment in annotation.segments}
        found = {segment.id for segment in panoptic_map.segments}
        if sum(segment.area for segment in panoptic_map.segments) != np.count_nonzero(ids):
            strange = sorted(set(np.unique(ids).tolist()) - listed - {UNLABELLED})
            problems += [f"id {id_} is in the PNG only" for id_ in strange]
        problems += [f"id {id_} is in the JSON only" for id_ in sorted(listed - found)]
        if problems:
            raise FaultyLabelsError(self.folder / annotation.png_name, problems)
        return panoptic_map


def read_coco_panoptic(
    path: Path,
    folder: Path | None = None,
    problems: list[str] | None = None,
    *,
    like: PanopticDataset | None = None,
) -> PanopticDataset:
    """Open a COCO panoptic JSON; PNGs are read when iterating.

    Args:
        path: of the JSON.
        folder: of the PNGs; None: the folder named like the JSON, without its suffix, beside it.
        problems: takes up what is wrong in the JSON and which PNGs are missing; the images that
            are right are returned then. None: FaultyLabelsError is raised.
    """
    folder = path.with_suffix("") if folder is None else folder
    document = _completed(_read_document(path), path, like)
    vocabulary = _vocabulary_of(path, document.categories)
    found = _problems(document)
    images = {image.id: image for image in document.images}
    annotations = []
    for row in document.annotations:
        faults = _faults(row, folder, vocabulary)
        found += faults
        if (image := images.get(row.image_id)) is not None and not faults:
            annotations.append(_annotation(row, image, vocabulary))
    if problems is not None:
        problems += found
    elif found:
        raise FaultyLabelsError(path, found)
    return PanopticDataset(path, folder, vocabulary, tuple(annotations))


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Category(_Row):
    id: int
    name: str
    isthing: bool = True
    color: Color = NO_COLOR
    synonyms: tuple[str, ...] = ()


class _Image(_Row):
    id: int
    file_name: str | None = None
    width: int = 0
    height: int = 0


class _Annotation(_Row):
    image_id: int
    file_name: str
    segments_info: tuple[SegmentInfo, ...]
    state: ImageState = "reviewed"  # as its segments count as accepted: other tools know no states


class _Document(_Row):
    annotations: tuple[_Annotation, ...]
    images: tuple[_Image, ...] | None = None  # predictions have neither these
    categories: tuple[_Category, ...] | None = None  # nor those


class _WholeDocument(_Row):
    annotations: tuple[_Annotation, ...]
    images: tuple[_Image, ...]
    categories: tuple[_Category, ...]


def _read_document(path: Path) -> _Document:
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be read, {error.strerror}; name the JSON file"
        ) from error
    except ValueError as error:
        raise FormatError(f"{path}: no whole JSON file ({error}); write it again") from error
    try:
        # Not model_validate_json: it refuses the escapes of file names that are no Unicode.
        return _Document.model_validate(data)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise FaultyLabelsError(path, problems) from None


def _completed(document: _Document, path: Path, like: PanopticDataset | None) -> _WholeDocument:
    """Return the document with the images and categories of the other set where it has none."""
    images, categories = document.images, document.categories
    if like is None and (images is None or categories is None):
        lacking = "images" if images is None else "categories"
        raise FormatError(
            f"{path}: has no `{lacking}`; a file that has only predictions can be read beside "
            "the COCO panoptic JSON that they are predictions for"
        )
    if like is not None and images is None:
        wanted = {row.image_id for row in document.annotations}
        images = tuple(
            _Image(id=known.image_id, file_name=known.file_name)
            for known in like.annotations
            if known.image_id in wanted
        )
    if like is not None and categories is None:
        categories = tuple(
            _Category(
                id=category.id,
                name=category.name,
                isthing=category.is_thing,
                color=category.color,
                synonyms=category.synonyms,
            )
            for category in like.vocabulary.categories
        )
    return _WholeDocument(
        annotations=document.annotations, images=images or (), categories=categories or ()
    )


def _vocabulary_of(path: Path, rows: Sequence[_Category]) -> Vocabulary:
    try:
        categories = [
            Category(row.name, row.id, row.synonyms, row.isthing, row.color) for row in rows
        ]
        return Vocabulary(path.stem, tuple(categories))
    except VocabularyError as error:
        raise FormatError(f"{path}: in `categories`, {error}") from error


def _problems(document: _WholeDocument) -> list[str]:
    """Return where the lists of images and annotations contradict each other."""
    problems = []
    images = Counter(image.id for image in document.images)
    annotated = Counter(row.image_id for row in document.annotations)
    problems += [f"image {id_} is listed twice" for id_, count in images.items() if count > 1]
    problems += [f"image {id_} has two annotations" for id_, n in annotated.items() if n > 1]
    problems += [f"image {id_} has no annotation" for id_ in sorted(images.keys() - annotated)]
    problems += [f"image {id_} is not in `images`" for id_ in sorted(annotated.keys() - images)]
    return problems


def _faults(row: _Annotation, folder: Path, vocabulary: Vocabulary) -> list[str]:
    """Return what is wrong in one annotation."""
    known = {category.id for category in vocabulary.categories}
    ids = Counter(info.id for info in row.segments_info)
    faults = [f"{row.file_name}: id {id_} twice" for id_, count in ids.items() if count > 1]
    faults += [
        f"{row.file_name}: segment {info.id} has category {info.category_id}, which is unknown"
        for info in row.segments_info
        if info.category_id not in known
    ]
    if not (folder / row.file_name).is_file():
        faults.append(f"{folder / row.file_name} is missing")
    return faults


def _annotation(row: _Annotation, image: _Image, vocabulary: Vocabulary) -> PanopticAnnotation:
    segments = tuple(
        info.segment(vocabulary.by_id(info.category_id).is_thing, 0, (0, 0, 0, 0))
        for info in row.segments_info
    )
    return PanopticAnnotation(
        row.image_id,
        image.file_name or row.file_name,
        row.file_name,
        image.width,
        image.height,
        segments,
        row.state,
    )
