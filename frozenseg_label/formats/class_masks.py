"""Class PNGs for other tools: named like their pictures, with the meaning of values beside them.

Readers that pair files by their stem (mmseg, FiftyOne) find them so, and none of them takes
`classes.json` for a mask.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from frozenseg_label.formats.class_png import (
    CLASSES_FILE,
    PALETTE_CLASSES,
    ClassPngFolder,
    class_indices,
    classes_file,
    encode_class_png,
    per_class_png_files,
)
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.label_png import encode_label_png
from frozenseg_label.formats.shapes import ForeignImage, ForeignSet, ImageShapes, Size, shape_of
from frozenseg_label.vocabulary import Vocabulary


def class_mask_files(
    image: ExportImage, vocabulary: Vocabulary, *, grey: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Yield the class PNG of an image: its path in the export, and its bytes.

    Args:
        grey: without a palette, which OpenCV, scikit-image and detectron2 take for colours.
    """
    indices = class_indices(image.panoptic_map, vocabulary)  # [H, W]
    png = encode_class_png(indices, vocabulary)
    if grey and len(vocabulary) <= PALETTE_CLASSES:  # with more classes it is grey in any case
        png = encode_label_png(Image.fromarray(indices.astype(np.uint8)))
    yield f"class-png/{image.place.path}.png", png


def single_class_mask_files(
    image: ExportImage, vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield a PNG, 255 inside and 0 outside, for each class that occurs: paths and bytes."""
    for path, png in per_class_png_files(f"{image.place.path}.png", image.panoptic_map, vocabulary):
        yield f"per-class-png/{path}", png


def class_values(
    _: Mapping[str, Sequence[Place]], vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield the file that says what the values mean: its path in the export, and its bytes."""
    yield CLASSES_FILE, classes_file(vocabulary)


def class_regions(folder: ClassPngFolder) -> ForeignSet:
    """Return the labels of a folder as shapes: for each class of an image, all of its pixels."""

    def image(name: str) -> ForeignImage:
        def read(_: Size | None) -> ImageShapes:
            indices = folder.read(name)  # [H, W]
            found = (
                shape_of(indices == index, folder.vocabulary.categories[index - 1].id)
                for index in np.unique(indices).tolist()
                if index
            )
            shapes = tuple(replace(shape, is_region=True) for shape in found if shape is not None)
            return ImageShapes((indices.shape[0], indices.shape[1]), shapes)

        return ForeignImage(name, read)

    images = {name: image(name) for name in folder.images}
    return ForeignSet(
        path=folder.path,
        vocabulary=folder.vocabulary,
        images=images,
        tells_kinds=folder.tells_kinds,
    )
