"""Sets of other tools whose shapes may overlap: which reader opens them, and their maps."""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from frozenseg_label.decoding import read_image_size
from frozenseg_label.errors import FormatError, ImageError
from frozenseg_label.files import read_regular
from frozenseg_label.formats.coco_instances import read_coco_instances
from frozenseg_label.formats.cvat import read_cvat
from frozenseg_label.formats.label_studio import read_label_studio
from frozenseg_label.formats.labelme import read_labelme
from frozenseg_label.formats.shapes import (
    ForeignSet,
    ImageShapes,
    OnTop,
    Overlaps,
    Size,
    stack,
)
from frozenseg_label.formats.voc import read_voc
from frozenseg_label.formats.yolo_segmentation import read_yolo
from frozenseg_label.label_sets.label_set import Form, ImageLabels, LabelSet, of_any_suffix
from frozenseg_label.panoptic import PanopticMap

ON_TOP: OnTop = "last"  # as people draw, and as most tools show it
_KEPT = 4  # maps; each image is asked for a few times in a row

_READERS: Mapping[Form, Callable[[Path], ForeignSet]] = {
    "coco-instances": read_coco_instances,
    "cvat": read_cvat,
    "label-studio": read_label_studio,
    "labelme": read_labelme,
    "voc": read_voc,
    "yolo-seg": read_yolo,
}

log = logging.getLogger(__name__)


def open_foreign(form: Form, path: Path, pictures: Path | None, on_top: OnTop) -> LabelSet:
    """Return the labels of a set in one of the forms whose shapes may overlap.

    Args:
        path: of the file or folder that its reader wants.
        pictures: folder of the pictures; None: where the set has them.
        on_top: which of two shapes has the pixels that both claim.
    """
    foreign = _READERS[form](path)
    folders = [pictures] if pictures is not None else foreign.pictures
    told: set[str] = set()  # images whose overlaps were told already

    def picture(image: str) -> Path | None:
        places = [of_any_suffix(folder / image) for folder in folders]
        return next((place for place in places if place.is_file()), next(iter(places), None))

    def shapes_of(image: str) -> ImageShapes:
        return read_shapes(foreign, image, lambda: _size_of(picture(image)))

    @lru_cache(maxsize=_KEPT)
    def read_map(image: str) -> PanopticMap:
        found = shapes_of(image)
        panoptic_map, lost = stack(found.shapes, found.size, foreign.vocabulary, on_top)
        if lost.pixels and image not in told:
            told.add(image)
            log.info("%s: %s: %s", path, image, said_overlaps(lost, on_top))
        return panoptic_map

    def labels_of(image: str) -> ImageLabels:
        panoptic_map = read_map(image)
        height, width = panoptic_map.ids.shape
        return ImageLabels(panoptic_map.segments, "reviewed", (height, width))

    return LabelSet(
        path=path,
        form=form,
        vocabulary=foreign.vocabulary,
        images=tuple(foreign.images),
        labels_of=labels_of,
        read_map=read_map,
        picture=picture,
        foreign=foreign,
        faults=foreign.faults,
        notes=foreign.notes,
    )


def read_shapes(foreign: ForeignSet, image: str, size: Callable[[], Size | None]) -> ImageShapes:
    """Return the shapes of an image.

    Args:
        size: says it where the set does not; None: nobody knows.
    """
    said = foreign.images[image]
    return said.read(size() if said.size is None else None)


def said_overlaps(lost: Overlaps, on_top: OnTop) -> str:
    """Say what shapes lost to others."""
    hidden = f", {lost.hidden} of them all" if lost.hidden else ""
    return (
        f"{lost.pixels} pixels are in several shapes: {lost.shapes} shapes lost some{hidden} "
        f"({_RULES[on_top]})"
    )


_RULES: Mapping[OnTop, str] = {
    "last": "the later one in the file is on top",
    "first": "the earlier one in the file is on top",
    "small": "the smaller one is on top",
    "score": "the one with the higher score is on top",
}


def _size_of(picture: Path | None) -> Size | None:
    """Return height and width of a picture; None where there is none."""
    if picture is None or not picture.is_file():
        return None
    try:
        return read_image_size(read_regular(picture, FormatError), picture)
    except ImageError as error:
        raise FormatError(f"{error}") from error
