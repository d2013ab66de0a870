"""COCO panoptic with nothing but the fields that COCO published, for readers of other tools.

Each PNG has the name of its picture, with `png` for suffix: panopticapi's converters, detectron2
and mmdet all find it there.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import JsonValue

from frozenseg_label.formats.coco_document import coco_document
from frozenseg_label.formats.coco_panoptic import categories_of, encode_panoptic_png
from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.vocabulary import Vocabulary


def published_png_files(image: ExportImage, _: Vocabulary) -> Iterator[tuple[str, bytes]]:
    """Yield the PNG of an image: its path in the export, and its bytes."""
    folder = f"panoptic_{image.place.part}" if image.place.part else "panoptic"
    yield f"{folder}/{image.place.stem}.png", encode_panoptic_png(image.panoptic_map.ids)


def write_published_panoptic(
    path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]
) -> None:
    """Write the JSON; images are taken one at a time and not kept."""
    rows = (row for row in categories_of(vocabulary) if isinstance(row, dict))
    categories: list[JsonValue] = [
        {key: value for key, value in row.items() if key != "synonyms"} for row in rows
    ]
    head: dict[str, JsonValue] = {"info": {}, "licenses": [], "categories": categories}
    with coco_document(path, head) as (add_image, add_annotation):
        for image in images:
            add_image(image.coco_row())
            add_annotation(_annotation(image))


def _annotation(image: ExportImage) -> dict[str, JsonValue]:
    return {
        "image_id": image.number,
        "file_name": f"{image.place.stem}.png",
        "segments_info": [
            {
                "id": segment.id,
                "category_id": segment.category_id,
                "area": segment.area,
                "bbox": list(segment.bbox),
                "iscrowd": int(segment.is_crowd),
            }
            for segment in image.panoptic_map.segments
        ],
    }
