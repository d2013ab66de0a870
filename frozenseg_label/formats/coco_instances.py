"""COCO instances: one JSON with a run-length mask for each segment; holes and scores are kept.

The form is that of https://cocodataset.org/#format-data (object detection). Scores are beside
COCO's fields, as COCO has them in results.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as run_lengths
from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, ValidationError

from frozenseg_label.documents import read_json
from frozenseg_label.errors import FormatError
from frozenseg_label.formats.coco_document import coco_document
from frozenseg_label.formats.coco_panoptic import categories_of
from frozenseg_label.formats.coco_rows import (
    AnyRow,
    CategoryRow,
    Id,
    ImageRow,
    OptionalNumber,
    vocabulary_of_rows,
)
from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.formats.run_lengths import coco_mask
from frozenseg_label.formats.shapes import (
    ForeignImage,
    ForeignSet,
    ImageShapes,
    Objects,
    Shape,
    Size,
    checked_points,
    checked_size,
    named,
    shape_of,
)
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary


def write_coco_instances(path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]) -> None:
    """Write the JSON; images are taken one at a time and not kept."""
    number = 0
    head: dict[str, JsonValue] = {
        "info": {},
        "licenses": [],
        "categories": categories_of(vocabulary),
    }
    with coco_document(path, head) as (add_image, add_annotation):
        for image in images:
            add_image(image.coco_row())
            for annotation in _annotations(image.panoptic_map):
                number += 1
                add_annotation({"id": number, "image_id": image.number} | annotation)


def _annotations(panoptic_map: PanopticMap) -> Iterator[dict[str, JsonValue]]:
    """Yield the segments of an image as annotations without ids."""
    ids = np.asfortranarray(panoptic_map.ids)  # [H, W], column by column as COCO counts
    height, width = ids.shape
    for segment in panoptic_map.segments:
        counts = run_lengths.encode((ids == segment.id).view(np.uint8))["counts"]
        row: dict[str, JsonValue] = {
            "category_id": segment.category_id,
            "segmentation": {"size": [height, width], "counts": counts.decode("ascii")},
            "area": segment.area,
            "bbox": list(segment.bbox),
            "iscrowd": int(segment.is_crowd),
        }
        yield row if segment.score is None else row | {"score": segment.score}


def read_coco_instances(path: Path) -> ForeignSet:
    """Open a COCO JSON of objects; masks are unpacked when they are asked for."""
    document = read_json(path, FormatError)
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        raise FormatError(f"{path}: has no list of `annotations`; name a COCO instances JSON")
    images = _rows(path, document.get("images"), "images", ImageRow)
    categories = _rows(path, document.get("categories"), "categories", CategoryRow)
    kinds = [isinstance(row, dict) and "isthing" in row for row in document["categories"]]
    vocabulary = vocabulary_of_rows(path, categories)
    known = {category.id for category in vocabulary.categories}
    by_image: _ByImage = {image.id: [] for image in images}
    faults, boxes, strange = [], 0, 0
    for place, row in enumerate(document["annotations"]):
        try:
            annotation = _Annotation.model_validate(row)
        except ValidationError as error:
            faults += [f"annotations.{place}: {fault['msg']}" for fault in error.errors()]
            continue
        if annotation.category_id not in known:
            faults.append(f"annotations.{place}: category {annotation.category_id} is unknown")
        elif annotation.image_id not in by_image:
            strange += 1
        elif not annotation.segmentation:
            boxes += 1
        else:
            by_image[annotation.image_id].append((f"{path}: annotations.{place}", annotation))
    counts = {"have a box only": boxes, "are of no listed image": strange}
    notes = [f"{n} annotations {what}; they were passed over" for what, n in counts.items() if n]
    by_image, told = _told_crowds(by_image)
    return ForeignSet(
        path=path,
        vocabulary=vocabulary,
        images=named(path, (_image(path, image, by_image[image.id]) for image in images)),
        pictures=(path.parent, path.parent / "images"),
        tells_kinds=any(kinds),
        faults=tuple(faults),
        notes=(*notes, *told),
    )


class _Annotation(BaseModel):
    """An entry of `annotations`, as any tool may write it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    image_id: Id
    category_id: int
    segmentation: dict[str, Any] | list[Any] | None = None
    iscrowd: Annotated[bool | None, BeforeValidator(bool)] = False  # None: the file does not tell
    score: OptionalNumber = None


_ByImage = dict[Id, list[tuple[str, _Annotation]]]  # place in the file, and what it says


def _told_crowds(by_image: _ByImage) -> tuple[_ByImage, tuple[str, ...]]:
    """Return the annotations with what `iscrowd` can mean there, and a sentence about it if any.

    Where all are crowds, it says nothing: datumaro writes 1 for every run-length mask. Read as
    crowds, all objects would be passed over by evaluation and training.
    """
    total = sum(map(len, by_image.values()))
    crowds = sum(bool(said.iscrowd) for rows in by_image.values() for _, said in rows)
    if not crowds:
        return by_image, ()
    if crowds < total:
        note = f"{crowds} annotations are crowds (iscrowd 1), which evaluate and train pass over"
        return by_image, (note,)
    note = f"all {total} annotations have iscrowd 1, as some tools write it; ignored"
    unsaid = {
        image: [(place, said.model_copy(update={"iscrowd": None})) for place, said in rows]
        for image, rows in by_image.items()
    }
    return unsaid, (note,)


def _rows(path: Path, rows: object, name: str, kind: type[AnyRow]) -> list[AnyRow]:
    if not isinstance(rows, list) or not rows:
        raise FormatError(f"{path}: has no list of `{name}`; name a COCO instances JSON")
    try:
        return [kind.model_validate(row) for row in rows]
    except ValidationError as error:
        fault = error.errors()[0]
        raise FormatError(f"{path}: in `{name}`, {fault['loc']}: {fault['msg']}") from error


def _image(
    path: Path, row: ImageRow, annotations: Sequence[tuple[str, _Annotation]]
) -> ForeignImage:
    name = row.file_name or f"{row.id}"

    def read(_: Size | None) -> ImageShapes:
        objects = Objects(checked_size(row.height, row.width, f"{path}: image {name!r}"))
        for place, annotation in annotations:
            objects.add(_shape(annotation, objects.size, place))
        return objects.collected()

    size = (row.height, row.width) if row.height and row.width else None
    return ForeignImage(name, read, size, tuple(said.category_id for _, said in annotations))


def _shape(said: _Annotation, size: Size, place: str) -> Shape | None:
    """Return the shape of an annotation; None where its mask is empty."""
    if isinstance(said.segmentation, dict):
        if said.segmentation.get("size") != list(size):
            raise FormatError(f"{place}: its mask is not of the size of its image; write it again")
        mask = coco_mask(said.segmentation.get("counts"), *size, place)
    else:
        mask = polygon_mask([checked_points(p, size, place) for p in said.segmentation or ()], size)
    shape = shape_of(mask, said.category_id)
    if shape is None:
        return None
    is_polygon = isinstance(said.segmentation, list)
    return replace(shape, score=said.score, is_crowd=said.iscrowd, is_polygon=is_polygon)


def polygon_mask(polygons: Sequence[NDArray[np.float64]], size: Size) -> NDArray[np.bool_]:
    """Return the pixels [H, W] in any of these polygons [N, 2], drawn as COCO does."""
    coded = run_lengths.frPyObjects([points.ravel().tolist() for points in polygons], *size)
    mask: NDArray[np.bool_] = run_lengths.decode(run_lengths.merge(coded)).astype(bool)
    return mask
