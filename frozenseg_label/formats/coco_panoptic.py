"""COCO panoptic: a PNG per image whose colour is the segment id, and one JSON for all of them.

The form is that of https://cocodataset.org/#format-data (panoptic segmentation) and of panopticapi.
Our own fields are beside COCO's in `segments_info`; readers that do not know them pass over them.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from frozenseg_label.errors import FormatError
from frozenseg_label.files import atomic_write, read_regular
from frozenseg_label.formats.coco_document import coco_document
from frozenseg_label.formats.label_png import encode_label_png
from frozenseg_label.panoptic import (
    MAX_SEGMENT_ID,
    UNLABELLED,
    BBox,
    ImageState,
    Segment,
    State,
)
from frozenseg_label.vocabulary import Vocabulary

MAX_PIXELS = 178_956_970  # of labels whose hash nobody knows; as of pictures by default
_PNG_HEAD = 33  # bytes of a PNG's signature and its first chunk, which tells the size


class SegmentInfo(BaseModel):
    """An entry of `segments_info`, as files spell it.

    Entries of other tools have no source and state of ours: they count as imported and accepted.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: int = Field(gt=UNLABELLED, le=MAX_SEGMENT_ID)
    category_id: int
    iscrowd: bool = False
    score: float | None = None
    margin: float | None = None
    second: int | None = None
    disagreement: float | None = None
    contested: float | None = None
    sam_disagreement: float | None = None
    source: str = "imported"
    state: State = "accepted"
    accepted_by: str | None = Field(default=None, exclude_if=lambda rule: rule is None)
    note: str = Field(default="", exclude_if=lambda note: not note)

    def segment(self, is_thing: bool, area: int, bbox: BBox) -> Segment:
        """Return the segment that the entry describes."""
        return Segment(
            id=self.id,
            category_id=self.category_id,
            is_thing=is_thing,
            area=area,
            bbox=bbox,
            score=self.score,
            margin=self.margin,
            second=self.second,
            disagreement=self.disagreement,
            source=self.source,
            state=self.state,
            is_crowd=self.iscrowd,
            contested=self.contested,
            sam_disagreement=self.sam_disagreement,
            accepted_by=self.accepted_by,
            note=self.note,
        )


@dataclass(frozen=True)
class PanopticAnnotation:
    """What the JSON says of one image; the pixels are in its PNG.

    Attributes:
        image_id: unique in its file; a number in ours, other tools also write texts.
        file_name: of the image.
        png_name: of the PNG, relative to the folder of PNGs.
        width, height: of both.
        segments: one entry for each id in the PNG, 0 (unlabelled) left out.
        state: how far a person has looked at it; unlabelled pixels are truth in reviewed ones only.
        note: what a person wrote about it; empty: nothing.
    """

    image_id: int | str
    file_name: str
    png_name: str
    width: int
    height: int
    segments: tuple[Segment, ...]
    state: ImageState = "unseen"
    note: str = ""


def png_name(relative: str) -> str:
    """Return the usual label file of an image: its path with the suffix `.png`.

    Readers of other tools look for this name. Images of one stem would share it: see
    `runs.layout.free_png_name`.
    """
    folder, slash, base = relative.rpartition("/")
    return f"{folder}{slash}{base.rpartition('.')[0] or base}.png"


def write_panoptic_png(path: Path, ids: NDArray[np.int32]) -> None:
    """Write ids [H, W] as a COCO panoptic PNG."""
    atomic_write(path, encode_panoptic_png(ids))


def read_panoptic_png(path: Path, sha256: str | None = None) -> NDArray[np.int32]:
    """Return the ids [H, W] of a COCO panoptic PNG.

    Args:
        sha256: of the file (hex), where it is known; FormatError for another file.
    """
    return decode_panoptic_png(read_label_png(path, sha256), f"{path}")


def read_label_png(path: Path, sha256: str | None = None) -> bytes:
    """Return the bytes of a label PNG; the argument is as of `read_panoptic_png`.

    The header is looked at first: a file of another kind is not read, and one whose hash is not
    known may not unpack to more than `MAX_PIXELS`.
    """
    head = read_regular(path, FormatError, most=_PNG_HEAD)
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < _PNG_HEAD:
        raise FormatError(f"{path}: no whole PNG file; write it again")
    width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if sha256 is None and width * height > MAX_PIXELS:
        raise FormatError(
            f"{path}: {width} x {height} pixels are more than the {MAX_PIXELS} allowed; cut it up"
        )
    png = read_regular(path, FormatError)
    if sha256 is not None and hashlib.sha256(png).hexdigest() != sha256:
        raise FormatError(f"{path}: is not the file whose hash was recorded; restore that one")
    return png


def encode_panoptic_png(ids: NDArray[np.int32]) -> bytes:
    """Return the PNG file of ids [H, W]."""
    return encode_label_png(Image.fromarray(ids_to_rgb(ids)))


def decode_panoptic_png(data: bytes, name: str) -> NDArray[np.int32]:
    """Return the ids [H, W] in a PNG file's bytes; `name` is what an error calls it."""
    try:
        # Not Image.open: its limit on pixels guards against strangers' files, these are labels.
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB") if image.mode in ("RGBA", "P") else image)
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise FormatError(f"{name}: no whole PNG file ({error}); write it again") from error
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise FormatError(f"{name}: mode {image.mode}, but a panoptic PNG is RGB, 8 bit a channel")
    return rgb_to_ids(pixels)


def ids_to_rgb(ids: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return colours [H, W, 3] of ids [H, W]: id = R + 256 G + 65536 B."""
    if ids.size and not 0 <= ids.min() <= ids.max() < 256**3:
        raise ValueError(f"ids must lie in 0..2^24 - 1, got {ids.min()}..{ids.max()}")
    four = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)
    return np.ascontiguousarray(four[..., :3])


def rgb_to_ids(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return ids [H, W] of colours [H, W, 3]."""
    four = np.zeros((*pixels.shape[:2], 4), dtype=np.uint8)
    four[..., :3] = pixels
    return four.view("<u4")[..., 0].astype(np.int32)


def segment_row(segment: Segment) -> dict[str, JsonValue]:
    """Return a segment as an entry of `segments_info`; what no model gave is left out."""
    row: dict[str, JsonValue] = {
        "id": segment.id,
        "category_id": segment.category_id,
        "area": segment.area,
        "bbox": list(segment.bbox),
        "iscrowd": int(segment.is_crowd),
        "isthing": int(segment.is_thing),
        "source": segment.source,
        "state": segment.state,
    }
    optional: dict[str, JsonValue] = {
        "score": segment.score,
        "margin": segment.margin,
        "second": segment.second,
        "disagreement": segment.disagreement,
        "contested": segment.contested,
        "sam_disagreement": segment.sam_disagreement,
        "accepted_by": segment.accepted_by,
        "note": segment.note or None,
    }
    return row | {key: value for key, value in optional.items() if value is not None}


def categories_of(vocabulary: Vocabulary) -> list[JsonValue]:
    """Return the vocabulary as COCO's `categories`."""
    return [
        {
            "id": category.id,
            "name": category.name,
            "supercategory": category.supercategory or ("thing" if category.is_thing else "stuff"),
            "isthing": int(category.is_thing),
            "color": list(category.color),
            "synonyms": list(category.synonyms),
        }
        for category in vocabulary.categories
    ]


def write_coco_panoptic(
    path: Path,
    vocabulary: Vocabulary,
    annotations: Iterable[PanopticAnnotation],
    info: Mapping[str, JsonValue] | None = None,
) -> None:
    """Write the JSON; annotations are taken one at a time and not kept."""
    rows = ((_image_row(annotation), _annotation_row(annotation)) for annotation in annotations)
    write_panoptic_rows(path, vocabulary, rows, info)


def write_panoptic_rows(
    path: Path,
    vocabulary: Vocabulary,
    rows: Iterable[tuple[JsonValue, JsonValue]],
    info: Mapping[str, JsonValue] | None = None,
) -> None:
    """Write the same of rows of `images` and `annotations`, one of each for an image."""
    head: dict[str, JsonValue] = {
        "info": dict(info or {}),
        "categories": categories_of(vocabulary),
    }
    with coco_document(path, head) as (add_image, add_annotation):
        for image, annotation in rows:
            add_image(image)
            add_annotation(annotation)


def _image_row(annotation: PanopticAnnotation) -> dict[str, JsonValue]:
    return {
        "id": annotation.image_id,
        "file_name": annotation.file_name,
        "width": annotation.width,
        "height": annotation.height,
    }


def _annotation_row(annotation: PanopticAnnotation) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {
        "image_id": annotation.image_id,
        "file_name": annotation.png_name,
        "state": annotation.state,
        "segments_info": [segment_row(segment) for segment in annotation.segments],
    }
    return row | {"note": annotation.note} if annotation.note else row
