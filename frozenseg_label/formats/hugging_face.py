"""A dataset for Hugging Face's `datasets`: Parquet files, with a card that says how to read them.

Each row is an image: the picture, a PNG that says which pixel is whose, and the segments. Pixels of
the n-th segment are n in the PNG, the others 0.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.files import atomic_stream
from frozenseg_label.formats.coco_panoptic import categories_of
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.label_png import encode_label_png
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import datasets

SPLITS = {"": "train", "train": "train", "val": "validation", "test": "test"}
SHARD = "data/{split}-{number:05}.parquet"
SHARD_BYTES = 256 << 20  # of pictures in one file
SHARD_IMAGES = 1000
GROUP_BYTES = 16 << 20  # what readers fetch at once, and all that is in memory here
GROUP_IMAGES = 100
MOST_SEGMENTS = 0xFFFF  # values of a grey PNG

_CARD = """\
# {name}

Labels made with frozenseg-label: each pixel belongs to one segment or to none.

```python
import numpy
from datasets import load_dataset

rows = load_dataset("THIS FOLDER", split="{split}")
row = rows[0]
ids = numpy.array(row["segmentation"]).astype("int32")    # [H, W]; 0: no label
for segment in row["segments"]:
    mask = ids == segment["id"]                            # [H, W], bool
    print(segment["name"], segment["score"], mask.sum())
```

`image` is the picture{picture}. `segmentation` is a grey PNG with one value for each segment, of
the size of the upright picture, which is how `datasets` shows it. `name` is the path of the picture
in the labelled folder. `state` says whether a person has finished looking at it: only where it is
`reviewed`, pixels without a label are known to be of no class.

Of each of the `segments`, `id` is its value in `segmentation`, `segment_id` its id in the labels,
`label` the place of its class (0, 1, ...; `rows.features["segments"].feature["label"].names` has
the names), `category_id` the id of the class in `categories.json`, `bbox` left, top, width and
height in pixels. `score`, `margin` (to the class `second`), `disagreement`, `contested` and
`sam_disagreement` are the model's, or null. `state` is `proposed` by a model, or `accepted` or
`edited` by a person, or by the rule that `accepted_by` names; `source` says who made it, and `note`
is what a person wrote about it.

For Mask2Former and MaskFormer in transformers:

```python
processor = Mask2FormerImageProcessor(ignore_index=0)
batch = processor(
    images=[row["image"]],
    segmentation_maps=[ids],
    instance_id_to_semantic_id={{segment["id"]: segment["label"] for segment in row["segments"]}},
)
```
"""


def in_shards(
    part: str, places: Sequence[Place], picture_bytes: Callable[[Place], int]
) -> Iterator[tuple[str, Sequence[Place]]]:
    """Yield the name of each file of a part, and its images.

    Args:
        picture_bytes: how much a picture adds to the file.
    """
    begin = size = number = 0
    for end, place in enumerate(places):
        added = picture_bytes(place)
        if end > begin and (size + added > SHARD_BYTES or end - begin == SHARD_IMAGES):
            yield SHARD.format(split=SPLITS[part], number=number), places[begin:end]
            begin, size, number = end, 0, number + 1
        size += added
    yield SHARD.format(split=SPLITS[part], number=number), places[begin:]


def write_shard(
    path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage], *, embed: bool
) -> None:
    """Write some images as one Parquet file; few of them are in memory at a time.

    Args:
        embed: put the pictures' bytes in; else their paths on this machine.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _features(vocabulary).arrow_schema
    with atomic_stream(path) as file, pq.ParquetWriter(file, schema) as writer:
        for rows in _groups(_row(image, vocabulary, embed=embed) for image in images):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def require_datasets() -> None:
    """Raise FormatError where the libraries that write this format are missing."""
    try:
        import datasets  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise FormatError(
            f"hf needs Hugging Face's datasets ({error}); pip install 'frozenseg-label[hf]'"
        ) from error


def dataset_card(
    parts: Mapping[str, Sequence[Place]], vocabulary: Vocabulary, *, embed: bool
) -> Iterator[tuple[str, bytes]]:
    """Yield the card and the list of classes: paths in the export, and bytes."""
    files = [{"split": SPLITS[part], "path": f"data/{SPLITS[part]}-*.parquet"} for part in parts]
    head = {
        "task_categories": ["image-segmentation"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    text = _CARD.format(
        name=vocabulary.name,
        split=files[0]["split"],
        picture="" if embed else ", read from its path on the machine where this was written",
    )
    yield "README.md", f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{text}".encode()
    categories = [
        {"label": label, **row}
        for label, row in enumerate(categories_of(vocabulary))
        if isinstance(row, dict)
    ]
    yield "categories.json", json.dumps(categories, indent=1).encode()


def _features(vocabulary: Vocabulary) -> "datasets.Features":
    """Return the columns and their types."""
    from datasets import ClassLabel, Features, List, Value
    from datasets import Image as Picture

    text, number, real = Value("string"), Value("int32"), Value("float64")
    segment = {
        "id": number,
        "segment_id": number,
        "label": ClassLabel(names=[category.name for category in vocabulary.categories]),
        "category_id": number,
        "name": text,
        "is_thing": Value("bool"),
        "is_crowd": Value("bool"),
        "area": number,
        "bbox": List(number, length=4),
        "score": real,
        "margin": real,
        "second": text,
        "disagreement": real,
        "contested": real,
        "sam_disagreement": real,
        "source": text,
        "state": text,
        "accepted_by": text,
        "note": text,
    }
    return Features(
        {
            "image": Picture(),
            "segmentation": Picture(),
            "name": text,
            "height": number,
            "width": number,
            "state": text,
            "segments": List(segment),
        }
    )


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield rows in groups that need little memory."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(row[key]["bytes"] or b"") for key in ("image", "segmentation") if row[key])
        if len(group) == GROUP_IMAGES or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _row(image: ExportImage, vocabulary: Vocabulary, *, embed: bool) -> dict[str, Any]:
    picture = None
    if image.source is not None:
        name = _unicode(image.place.file_name if embed else f"{image.source.absolute()}")
        picture = {"bytes": image.source.read_bytes() if embed else None, "path": name}
    segments = image.panoptic_map.segments
    return {
        "image": picture,
        "segmentation": {"bytes": _png(image.panoptic_map), "path": None},
        "name": _unicode(image.place.name),
        "height": image.height,
        "width": image.width,
        "state": image.state,
        "segments": [_segment(n, segment, vocabulary) for n, segment in enumerate(segments, 1)],
    }


def _png(panoptic_map: PanopticMap) -> bytes:
    """Return a grey PNG, of 8 bits or where needed 16: n in the pixels of the n-th segment."""
    count = len(panoptic_map.segments)
    if count > MOST_SEGMENTS:
        raise FormatError(f"an image has {count} segments, hf holds {MOST_SEGMENTS}; leave it out")
    numbers = np.zeros(max((s.id for s in panoptic_map.segments), default=0) + 1, dtype=np.uint16)
    numbers[[segment.id for segment in panoptic_map.segments]] = np.arange(1, count + 1)
    values: NDArray[np.unsignedinteger] = numbers[panoptic_map.ids]  # [H, W]
    kind = np.uint8 if count <= 0xFF else np.uint16
    return encode_label_png(Image.fromarray(values.astype(kind)))


def _segment(number: int, segment: Segment, vocabulary: Vocabulary) -> dict[str, Any]:
    second = None if segment.second is None else vocabulary.by_id(segment.second).name
    return {
        "id": number,
        "segment_id": segment.id,
        "label": vocabulary.index_of(segment.category_id),
        "category_id": segment.category_id,
        "name": vocabulary.by_id(segment.category_id).name,
        "is_thing": segment.is_thing,
        "is_crowd": segment.is_crowd,
        "area": segment.area,
        "bbox": list(segment.bbox),
        "score": segment.score,
        "margin": segment.margin,
        "second": second,
        "disagreement": segment.disagreement,
        "contested": segment.contested,
        "sam_disagreement": segment.sam_disagreement,
        "source": segment.source,
        "state": segment.state,
        "accepted_by": segment.accepted_by,
        "note": segment.note,
    }


def _unicode(path: str) -> str:
    """Return a path that Parquet can hold: names that are no Unicode with their bytes escaped."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
