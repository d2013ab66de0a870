"""labelme 5 and later: a JSON beside each picture, with a mask for each segment."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue

from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Vocabulary

VERSION = "5.5.0"  # of labelme, whose fields these are


def labelme_files(image: ExportImage, vocabulary: Vocabulary) -> Iterator[tuple[str, bytes]]:
    """Yield the JSON of an image: its path in the export, and its bytes."""
    document: dict[str, JsonValue] = {
        "version": VERSION,
        "flags": {},
        "shapes": [
            _shape(image.boxed_mask(segment), segment, vocabulary)
            for segment in image.panoptic_map.segments
        ],
        "imagePath": _picture_from(PurePosixPath(image.place.path).parent, image),
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
    }
    yield f"{image.place.path}.json", json.dumps(document, allow_nan=False).encode()


def _picture_from(folder: PurePosixPath, image: ExportImage) -> str:
    """Return the path of the picture as seen from a folder of the export."""
    picture = PurePosixPath(image.place.file_name if image.picture is None else image.picture)
    if picture.parent == folder:
        return picture.name
    return "../" * len(folder.parts) + picture.as_posix()


def _shape(
    mask: NDArray[np.bool_], segment: Segment, vocabulary: Vocabulary
) -> dict[str, JsonValue]:
    x, y, w, h = segment.bbox
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(file, "PNG")
    return {
        "label": vocabulary.by_id(segment.category_id).name,
        "points": [[x, y], [x + w - 1, y + h - 1]],  # both pixels belong to the box
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(file.getvalue()).decode("ascii"),
    }
