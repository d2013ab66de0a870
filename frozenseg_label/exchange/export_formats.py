"""The formats that labels leave in: who writes them, and what they keep."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.exchange.export_losses import ALL, Fact
from frozenseg_label.formats.class_masks import (
    class_mask_files,
    class_values,
    single_class_mask_files,
)
from frozenseg_label.formats.coco_instances import write_coco_instances
from frozenseg_label.formats.cvat import write_cvat
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.hugging_face import dataset_card, in_shards, write_shard
from frozenseg_label.formats.label_studio import labelling_interface, write_label_studio
from frozenseg_label.formats.labelme import labelme_files
from frozenseg_label.formats.published_panoptic import (
    published_png_files,
    write_published_panoptic,
)
from frozenseg_label.formats.voc import voc_files, voc_lists
from frozenseg_label.formats.yolo_segmentation import yolo_files, yolo_lists
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    from frozenseg_label.exchange.export_labels import ExportForm, PictureMode


Writer = Callable[[Path, Vocabulary, Iterable[ExportImage]], None]


@dataclass(frozen=True)
class Shards:
    """Files about some images each.

    Attributes:
        cut: yields the name of each file and its images; it is given the part, the places in it,
            and what tells how many bytes a picture has.
        write: writes one of them.
    """

    cut: Callable[
        [str, Sequence[Place], Callable[[Place], int]], Iterator[tuple[str, Sequence[Place]]]
    ]
    write: Writer


@dataclass(frozen=True)
class Format:
    """How labels are written in one format.

    Attributes:
        keeps: what it can hold.
        files: yields the files of an image, paths in the export and bytes.
        document: writes one file about all images of a part; `document_name` is its name with
            `{part}` for `_train`, `_val`, `_test` or nothing; without it, all parts are in one.
        shards: in place of it, files about some images each, which have the pictures in them.
        shared: yields files that belong to all images, from where those are, by part.
        picture: path of a picture in the export; where there is a document, it has the name.
        pictures: what is done with pictures if nothing else is asked for.
        stuff_asked: stuff is left out unless it is asked for.
    """

    keeps: frozenset[Fact]
    files: Callable[[ExportImage, Vocabulary], Iterator[tuple[str, bytes]]] | None = None
    document: Writer | None = None
    document_name: str = ""
    shards: Shards | None = None
    shared: (
        Callable[[Mapping[str, Sequence[Place]], Vocabulary], Iterator[tuple[str, bytes]]] | None
    ) = None
    picture: Callable[[Place], str] = lambda place: f"images/{place.file_name}"
    pictures: "PictureMode" = "none"
    stuff_asked: bool = False


def _beside_labels(place: Place) -> str:
    return f"images/{place.path}{place.suffix}"


_PIXELS: frozenset[Fact] = frozenset({"stuff", "holes", "parts"})
_MASKS: frozenset[Fact] = _PIXELS | {"instances"}

FORMATS: "dict[ExportForm, Format]" = {
    "coco-instances": Format(
        keeps=_MASKS - {"stuff"} | {"kinds", "scores", "crowds"},
        document=write_coco_instances,
        document_name="instances{part}.json",
        stuff_asked=True,
    ),
    "coco-panoptic": Format(
        keeps=_MASKS | {"kinds", "crowds"},
        files=published_png_files,
        document=write_published_panoptic,
        document_name="panoptic{part}.json",
    ),
    "cvat": Format(keeps=_MASKS, document=write_cvat, document_name="annotations{part}.xml"),
    "label-studio": Format(
        keeps=_MASKS | {"scores"},
        document=write_label_studio,
        document_name="tasks{part}.json",
        shared=labelling_interface,
    ),
    "yolo-seg": Format(
        keeps=frozenset({"instances"}),
        files=yolo_files,
        shared=yolo_lists,
        picture=_beside_labels,
        pictures="copy",
        stuff_asked=True,
    ),
    "labelme": Format(
        keeps=_MASKS,
        files=labelme_files,
        picture=lambda place: f"{place.path}{place.suffix}",
        pictures="copy",
    ),
    "voc": Format(
        keeps=_MASKS,
        files=voc_files,
        shared=voc_lists,
        picture=lambda place: f"JPEGImages/{place.stem}{place.suffix}",
        pictures="copy",
    ),
    "class-png": Format(
        keeps=_PIXELS, files=class_mask_files, shared=class_values, picture=_beside_labels
    ),
    "per-class-png": Format(keeps=_PIXELS, files=single_class_mask_files, picture=_beside_labels),
    "hf": Format(
        keeps=ALL - {"refusals"},
        shards=Shards(in_shards, partial(write_shard, embed=True)),
        shared=partial(dataset_card, embed=True),
        pictures="copy",
    ),
    "fiftyone": Format(  # its document is written by whoever owns FiftyOne: see `export_labels`
        keeps=ALL - {"refusals"},
        document_name="samples.json",
        picture=lambda place: f"data/{place.file_name}",
        pictures="copy",
    ),
}
