"""COCO instances: one JSON with a run-length mask for each segment; holes and scores are kept.

The form is that of https://cocodataset.org/#format-data (object detection). Scores are beside
COCO's fields, as COCO has them in results.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pycocotools import mask as run_lengths
from pydantic import JsonValue

from frozenseg_label.formats.coco_document import coco_document
from frozenseg_label.formats.coco_panoptic import categories_of
from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary


def write_coco_instances(path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]) -> None:
    """Write the JSON; images are taken one at a time and not kept."""
    number = 0
    with coco_document(path, categories_of(vocabulary)) as (add_image, add_annotation):
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
