"""A run of three small images, in its folder and in FiftyOne."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from frozenseg_label.formats.coco_panoptic import read_panoptic_png
from frozenseg_label.images import find_images
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.embeddings import ImageEmbeddings
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
CAT, DOG, SKY, GRASS = 1, 2, 3, 4


def labels(shift: int = 0, classes: tuple[int, int, int] = (SKY, CAT, DOG)) -> PanopticMap:
    """Return sky above, a cat and a dog below, and void between them; 40 x 60 pixels."""
    ids = np.zeros((40, 60), np.int32)
    ids[:20] = 1
    ids[22:38, 5 + shift : 25 + shift] = 2
    ids[22:38, 35:55] = 3
    segments = (
        Segment(
            id_,
            class_,
            is_thing=class_ < SKY,
            score=0.123456789,
            margin=0.1,
            second=DOG,
            source="model:abc",
        )
        for id_, class_ in enumerate(classes, start=1)
    )
    return PanopticMap.of(ids, segments)


def annotate(folder: Path, manifest: Manifest, proposal: PanopticMap) -> None:
    with RunFolder.open_or_create(folder / "out", manifest, update=True) as run:
        records = find_images([folder / "photos"])
        run.plan(records)
        for record in records:
            vector = np.eye(4, dtype=np.float16)
            seen = {segment.id: vector[segment.id] for segment in proposal.segments}
            run.commit(record, proposal, embeddings=ImageEmbeddings.of("ab", vector[0], seen))
        run.finish()


def open_in_fiftyone(out: Path):  # noqa: ANN201 - FiftyOne has no types
    from frozenseg_label.review.app.fiftyone_dataset import open_dataset

    with RunFolder.read(out) as run:
        return open_dataset(run)


def image_of(dataset, name: str):  # noqa: ANN001, ANN201
    from fiftyone import ViewField

    return dataset.one(ViewField("image") == name)


def segment_of(sample, id_: int):  # noqa: ANN001, ANN201
    [found] = [one for one in sample.segments.detections if getattr(one, "segment_id", None) == id_]
    return found


def png(out: Path, name: str) -> np.ndarray:
    return read_panoptic_png(out / "panoptic" / name)


def files(out: Path) -> dict[str, bytes]:
    """Return all files of a run folder, without the lock and what the review keeps for itself."""
    found = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    own = ("lock", "review/")
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(own)}
