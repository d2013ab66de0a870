"""Labels as a folder that FiftyOne imports by itself: `fo.Dataset.from_dir(DIR, FiftyOneDataset)`.

Segments, classes and colours are as in the review, but for the review's own queue.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.errors import ReviewError
from frozenseg_label.files import PREFIX
from frozenseg_label.formats.export_image import ExportImage
from frozenseg_label.review.app.database import connected
from frozenseg_label.review.app.fiftyone_dataset import described_classes
from frozenseg_label.review.app.samples import declare_segments
from frozenseg_label.review.app.segment_documents import (
    SEGMENTS,
    Document,
    insert_samples,
    segment_document,
)
from frozenseg_label.review.app.views import show_classes
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo

METADATA = "metadata.json"


def write_fiftyone(path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]) -> None:
    """Write FiftyOne's samples, and its description of the dataset beside them.

    FiftyOne writes what is in its database, so the dataset is there meanwhile.

    Args:
        path: of `samples.json`; paths of pictures below its folder are written as relative ones.
    """
    with connected():
        _write(path, vocabulary, images)


def _write(path: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]) -> None:
    import fiftyone as fo

    folder = path.parent.absolute()
    dataset = fo.Dataset()  # with a name that is free, and gone when FiftyOne ends
    try:
        for field in ("image", "state"):
            dataset.add_sample_field(field, fo.StringField)
        declare_segments(dataset)
        dataset.add_sample_field(f"{SEGMENTS}.detections.iscrowd", fo.BooleanField)
        dataset.info = {"vocabulary": described_classes(vocabulary)}
        dataset.default_classes = [category.name for category in vocabulary.categories]
        insert_samples(dataset, _samples(folder, vocabulary, images))
        show_classes(dataset, vocabulary)
        with tempfile.TemporaryDirectory(prefix=PREFIX, suffix=".tmp", dir=folder) as temporary:
            written = Path(temporary, "dataset")  # FiftyOne warns of a folder that is there
            with _quiet():
                dataset.export(
                    export_dir=f"{written}",
                    dataset_type=fo.types.FiftyOneDataset,
                    export_media=False,
                    rel_dir=f"{folder}",
                    progress=False,
                )
            (written / METADATA).replace(folder / METADATA)
            (written / path.name).replace(path)
    finally:
        dataset.delete()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep FiftyOne from telling what it does; its warnings are told."""
    log = logging.getLogger("fiftyone")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def _samples(
    folder: Path, vocabulary: Vocabulary, images: Iterable[ExportImage]
) -> Iterator[tuple["fo.Sample", list[Document]]]:
    import fiftyone as fo

    for image in images:
        ids = image.panoptic_map.ids
        segments = [
            segment_document(segment, ids, vocabulary, iscrowd=segment.is_crowd)
            for segment in sorted(image.panoptic_map.segments, key=lambda segment: segment.area)
        ]
        sample = fo.Sample(
            filepath=_picture(folder, image),
            tags=[image.place.part] if image.place.part else [],
            metadata=fo.ImageMetadata(width=image.width, height=image.height),
            image=image.place.name,
            state=image.state,
        )
        yield sample, segments


def _picture(folder: Path, image: ExportImage) -> str:
    """Return the path of a picture; ReviewError where FiftyOne cannot have it."""
    there = folder / (image.picture or image.place.file_name)
    is_below = image.picture is not None and not image.picture.startswith("../")
    path = there if is_below or image.source is None else image.source.absolute()
    try:
        f"{path}".encode()
    except UnicodeEncodeError as error:
        raise ReviewError(
            f"{ascii(image.place.name)[1:-1]}: its name is not Unicode, which FiftyOne needs; "
            "rename the picture, annotate again, and export then"
        ) from error
    return f"{path}"
