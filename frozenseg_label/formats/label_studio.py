"""Label Studio's tasks: brush masks, as predictions, or as annotations of reviewed images.

The bits of a brush mask are those of Label Studio's `rle-pack`: every pixel is four equal bytes, 0
or 255.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from frozenseg_label.files import atomic_stream
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Vocabulary

LOCAL_FILES = "/data/local-files/?d="  # Label Studio's address of files below its document root
LONGEST_BITS = 16  # a length of more bits cannot be told
CHANNELS = 4


def write_label_studio(path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]) -> None:
    """Write the tasks; images are taken one at a time and not kept."""
    separator = b"\n"
    with atomic_stream(path) as file:
        file.write(b"[")
        for image in images:
            task = _task(image, vocabulary)
            row = json.dumps(task, separators=(",", ":"), allow_nan=False)
            file.write(separator + row.encode())
            separator = b",\n"
        file.write(b"\n]\n")


def labelling_interface(
    _: Mapping[str, Sequence[Place]], vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield the interface that a project needs: its path in the export, and its bytes."""
    labels = "".join(
        f"    <Label value={quoteattr(category.name)} "
        f'background="#{bytes(category.color).hex()}"/>\n'
        for category in vocabulary.categories
    )
    text = (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="label" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
    )
    yield "interface.xml", text.encode()


def brush_bytes(mask: NDArray[np.bool_]) -> list[int]:
    """Return a mask [H, W] as Label Studio packs it.

    A head (32 bits: number of values; 5: bits of a value, less 1; 4 times 4: bits of a length, less
    1), then for each run: 1, two bits (which of the four lengths), its length less 1, its value.
    """
    values = np.concatenate(([False], mask.ravel()))  # [1 + H * W]
    starts = np.flatnonzero(values[1:] != values[:-1])
    lengths = np.diff(starts, prepend=0, append=mask.size) * CHANNELS
    inside = np.arange(len(lengths)) % 2 == 1
    most = 2**LONGEST_BITS
    pieces = -(-lengths // most)  # of each run; 0 where the mask begins at once
    inside = np.repeat(inside, pieces)
    ends = np.cumsum(pieces)
    lengths_of_pieces = np.full(len(inside), most, dtype=np.int64)
    has_some = pieces > 0
    lengths_of_pieces[ends[has_some] - 1] = (lengths - (pieces - 1) * most)[has_some]
    size = max(1, int(lengths_of_pieces.max() - 1).bit_length())
    head = f"{mask.size * CHANNELS:032b}{7:05b}" + f"{size - 1:04b}" * 4
    bits = np.zeros((len(inside), 3 + size + 8), dtype=np.uint8)
    bits[:, 0] = 1
    places = np.arange(size)[::-1]
    bits[:, 3 : 3 + size] = ((lengths_of_pieces - 1)[:, None] >> places) & 1
    bits[:, 3 + size :] = inside[:, None]
    whole = np.concatenate([np.array(list(head), dtype=np.uint8), bits.ravel()])
    packed: list[int] = np.packbits(whole).tolist()
    return packed


def _task(image: ExportImage, vocabulary: Vocabulary) -> dict[str, JsonValue]:
    results: list[JsonValue] = [
        _result(image, segment, vocabulary) for segment in image.panoptic_map.segments
    ]
    task: dict[str, JsonValue] = {"data": {"image": LOCAL_FILES + _address(image.place.file_name)}}
    if image.state == "reviewed":
        return task | {"annotations": [{"result": results}]}
    segments = image.panoptic_map.segments
    models = [s.source.partition(":")[2] for s in segments if s.source.startswith("model:")]
    prediction: dict[str, JsonValue] = {
        "model_version": models[0] if models else "frozenseg-label",
        "result": results,
    }
    scores = [segment.score for segment in segments if segment.score is not None]
    if scores:
        prediction["score"] = fmean(scores)
    return task | {"predictions": [prediction]}


def _result(image: ExportImage, segment: Segment, vocabulary: Vocabulary) -> dict[str, JsonValue]:
    packed: list[JsonValue] = [*brush_bytes(image.panoptic_map.ids == segment.id)]
    result: dict[str, JsonValue] = {
        "id": f"{image.number}-{segment.id}",
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {
            "format": "rle",
            "rle": packed,
            "brushlabels": [vocabulary.by_id(segment.category_id).name],
        },
    }
    return result if segment.score is None else result | {"score": segment.score}


def _address(name: str) -> str:
    return quote(name.encode(errors="surrogateescape"))
