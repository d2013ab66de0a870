"""Label Studio's tasks: brush masks, as predictions, or as annotations of reviewed images.

The bits of a brush mask are those of Label Studio's `rle-pack`: every pixel is four equal bytes, 0
or 255.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, ValidationError

from frozenseg_label.documents import read_json
from frozenseg_label.errors import FormatError
from frozenseg_label.files import atomic_stream
from frozenseg_label.formats.coco_rows import OptionalNumber
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.run_lengths import runs_of
from frozenseg_label.formats.shapes import (
    ForeignImage,
    ForeignSet,
    ImageShapes,
    Objects,
    Shape,
    Size,
    checked_points,
    checked_size,
    filled,
    named,
    shape_of,
    vocabulary_of,
)
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Vocabulary, same_name

LOCAL_FILES = "/data/local-files/?d="  # Label Studio's address of files below its document root
LONGEST_BITS = 16  # a length of more bits cannot be told
CHANNELS = 4
_HEAD = 32 + 5 + 4 * 4  # bits
_UPLOADED = re.compile(r".*/upload/(?:\d+/)?[0-9a-f]{8}-")  # what it puts before a file's name


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
    lengths = runs_of(mask.ravel()) * CHANNELS
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


def read_label_studio(path: Path) -> ForeignSet:
    """Open Label Studio's tasks (JSON); of each task the last annotation, else a prediction."""
    rows = read_json(path, FormatError)
    if not isinstance(rows, list):
        raise FormatError(f"{path}: is no list of tasks; export them from Label Studio as JSON")
    tasks: list[tuple[str, list[_Result], bool]] = []
    faults, others, unlabelled = [], 0, 0
    for place, row in enumerate(rows):
        try:
            task = _Task.model_validate(row)
        except ValidationError as error:
            faults += [f"tasks.{place}.{f['loc']}: {f['msg']}" for f in error.errors()]
            continue
        if task.name is None or (results := task.results()) is None:
            unlabelled += 1
            continue
        areas = [result for result in results if result.label is not None]
        others += len(results) - len(areas)
        tasks.append((task.name, areas, not task.done()))
    if not tasks:
        raise FormatError(f"{path}: has no labelled task{'; ' + faults[0] if faults else ''}")
    names = [result.label or "" for _, results, _ in tasks for result in results]
    vocabulary = vocabulary_of(path, names)
    ids = vocabulary.ids_by_name
    counts = {
        "results are neither brush masks nor polygons": others,
        "tasks have no annotation": unlabelled,
    }
    return ForeignSet(
        path=path,
        vocabulary=vocabulary,
        images=named(path, (_image(path, *task, ids) for task in tasks)),
        pictures=(path.parent, path.parent / "images"),
        lists_classes=False,
        faults=tuple(faults),
        notes=tuple(f"{n} {what}; they were passed over" for what, n in counts.items() if n),
    )


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    brushlabels: tuple[str, ...] = ()
    polygonlabels: tuple[str, ...] = ()
    rle: Any = None
    points: Any = None


class _Result(BaseModel):
    """One object of a task."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str = ""
    value: _Value = _Value()
    original_width: int = 0
    original_height: int = 0
    score: OptionalNumber = None

    @property
    def label(self) -> str | None:
        """Return its class; None: it has no pixels."""
        return next(iter(self.value.brushlabels or self.value.polygonlabels), None)


class _Answer(BaseModel):
    """An annotation, or a prediction."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    result: tuple[_Result, ...] = ()
    was_cancelled: Annotated[bool, BeforeValidator(bool)] = False


class _Task(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    data: dict[str, Any]
    annotations: tuple[_Answer, ...] = ()
    predictions: tuple[_Answer, ...] = ()

    @property
    def name(self) -> str | None:
        """Return the path of the picture; None where none is said."""
        texts = [self.data.get("image"), *self.data.values()]
        text = next((text for text in texts if isinstance(text, str) and text), "")
        if LOCAL_FILES in text:
            return unquote(text.partition(LOCAL_FILES)[2])
        return _UPLOADED.sub("", text) or None

    def done(self) -> Sequence[_Answer]:
        """Return what people said."""
        return [answer for answer in self.annotations if not answer.was_cancelled]

    def results(self) -> tuple[_Result, ...] | None:
        """Return what was said last; None where nothing was."""
        answers = self.done() or self.predictions
        return answers[-1].result if answers else None


def _image(
    path: Path, name: str, results: Sequence[_Result], is_proposal: bool, ids: Mapping[str, int]
) -> ForeignImage:
    where = f"{path}: {name!r}"
    found = tuple(ids[same_name(result.label or "")] for result in results)
    sizes = {(result.original_height, result.original_width) for result in results}

    def read(size: Size | None) -> ImageShapes:
        if len(sizes) > 1 or (not sizes and size is None):
            raise FormatError(f"{where}: its size is not clear; add it to the results")
        objects = Objects(checked_size(*next(iter(sizes), size or (0, 0)), where))
        for result, category_id in zip(results, found, strict=True):
            objects.add(_shape(result, objects.size, category_id, f"{where}, {result.id!r}"))
        return objects.collected()

    size = next(iter(sizes)) if len(sizes) == 1 else None
    return ForeignImage(name, read, size, found, is_proposal)


def _shape(result: _Result, size: Size, category_id: int, place: str) -> Shape | None:
    """Return the pixels of a result; None where there are none."""
    if result.value.brushlabels:
        shape = shape_of(brush_mask(result.value.rle, size, place), category_id)
        return None if shape is None else replace(shape, score=result.score)
    share = checked_points(result.value.points, (100, 100), place) / 100  # they are in percent
    shape = filled(share * [size[1], size[0]], size, category_id)
    return None if shape is None else replace(shape, score=result.score)


def brush_mask(packed: object, size: Size, place: str) -> NDArray[np.bool_]:
    """Return the mask [H, W] that Label Studio packed; FormatError: it is none of this size.

    Beside the runs that `brush_bytes` writes there are lists: 0, two bits, a number less 1, values.
    """
    try:
        bits = "".join(map("{:08b}".format, bytes(packed if isinstance(packed, list) else [])))
        numbers, width = int(bits[:32], 2), int(bits[32:37], 2) + 1
        if numbers != size[0] * size[1] * CHANNELS:
            raise FormatError(f"{place}: its mask is not {size[1]} x {size[0]}; write it again")
        lengths = [int(bits[at : at + 4], 2) + 1 for at in range(37, _HEAD, 4)]
        values = np.zeros(numbers, dtype=np.bool_)
        at, start = _HEAD, 0
        while start < numbers:
            length = lengths[int(bits[at + 1 : at + 3], 2)]
            end = start + int(bits[at + 3 : at + 3 + length], 2) + 1
            is_run = bits[at] == "1"
            at += 3 + length
            count = 1 if is_run else end - start
            words = [int(bits[at + i * width : at + (i + 1) * width], 2) for i in range(count)]
            values[start:end] = np.array(words) > 0
            at, start = at + count * width, end
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise FormatError(f"{place}: no brush mask that can be read ({error})") from error
    return values.reshape(*size, CHANNELS)[..., CHANNELS - 1]
