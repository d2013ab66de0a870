"""A set of labels to compare, whatever form it is stored in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.class_png_folder import (
    CLASSES_FILE,
    ClassPngFolder,
    read_class_png_folder,
)
from frozenseg_label.formats.coco_panoptic import png_name
from frozenseg_label.formats.panoptic_dataset import PanopticDataset, read_coco_panoptic
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.runs.layout import MANIFEST, PANOPTIC, PANOPTIC_JSON
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class LabelSet:
    """Labels of many images; pixels are read image by image.

    Attributes:
        path: that the user named.
        vocabulary: its classes.
        images: names (relative paths, with suffix), which pairing goes by.
        read: the map of an image, with the category ids of `vocabulary`, and the panoptic PNG that
            holds its ids; None: there is no such file.
        has_segments: False where pixels have classes alone: each class of an image is one segment.
        seen: ids of the classes that the weights have seen; None: not known.
        root: folder of the images themselves; None: not known.
        unreviewed: images of a run folder that no person has finished looking at.
        dataset: of a COCO panoptic JSON; None of other sets.
    """

    path: Path
    vocabulary: Vocabulary
    images: tuple[str, ...]
    read: Callable[[str], tuple[PanopticMap, Path | None]]
    has_segments: bool = True
    seen: frozenset[int] | None = None
    root: Path | None = None
    unreviewed: frozenset[str] = frozenset()
    dataset: PanopticDataset | None = None


@contextmanager
def open_label_set(path: Path, like: LabelSet | None = None) -> Iterator[LabelSet]:
    """Yield the labels in a run folder, a COCO panoptic folder or JSON, or a class PNG folder.

    Args:
        path: of the folder or of the JSON.
        like: the set that predictions belong to; from COCO panoptic, it tells the images and
            categories of a JSON that has annotations alone.
    """
    if (path / MANIFEST).is_file():
        with RunFolder.read(path) as run:
            yield _of_run(run)
    elif (json_file := _panoptic_json(path)) is not None:
        other = like.dataset if like is not None else None
        yield _of_dataset(path, read_coco_panoptic(json_file, _pngs_of(json_file), like=other))
    elif (path / CLASSES_FILE).is_file():
        yield _of_class_pngs(read_class_png_folder(path))
    else:
        what = "has none of these" if path.is_dir() else "is none" if path.exists() else "is absent"
        raise FormatError(
            f"{path} {what}: a run folder ({MANIFEST}), a COCO panoptic JSON or a folder with a "
            f"{PANOPTIC_JSON}, a folder of class PNGs ({CLASSES_FILE}); name one of them"
        )


def one_segment_per_stuff(panoptic_map: PanopticMap) -> PanopticMap:
    """The map with all regions of one kind of stuff as one segment.

    A run keeps a person's part and the model's part of it apart; to panoptic quality they are one.
    """
    first: dict[int, Segment] = {}
    ids, segments = panoptic_map.ids, []
    for segment in panoptic_map.segments:
        known = first.get(segment.category_id)
        if segment.is_thing or segment.is_crowd or known is None:
            segments.append(segment)
            if not segment.is_thing and not segment.is_crowd:
                first[segment.category_id] = segment
            continue
        ids = np.where(ids == segment.id, np.int32(known.id), ids)
    if len(segments) == len(panoptic_map.segments):
        return panoptic_map
    return PanopticMap.of(ids, segments)


def seen_ids(vocabulary: Vocabulary, seen_names: tuple[str, ...]) -> frozenset[int]:
    """Ids of the categories that have a name in common with the training's vocabulary."""
    seen = set(seen_names)
    return frozenset(c.id for c in vocabulary.categories if seen.intersection(c.names))


def _of_run(run: RunFolder) -> LabelSet:
    states = {
        entry.image: entry.labels.state
        for entry in run.entries()
        if entry.labels is not None and not entry.labels.current.lost_classes(run.vocabulary)
    }
    manifest = run.manifest

    def read(image: str) -> tuple[PanopticMap, Path | None]:
        stored = run.read_map(image)
        merged = one_segment_per_stuff(stored)
        return merged, run.path / PANOPTIC / png_name(image) if merged is stored else None

    return LabelSet(
        path=run.path,
        vocabulary=run.vocabulary,
        images=tuple(states),
        read=read,
        seen=seen_ids(run.vocabulary, manifest.seen_names),
        root=Path(manifest.root) if manifest.root is not None else None,
        unreviewed=frozenset(image for image, state in states.items() if state != "reviewed"),
    )


def _panoptic_json(path: Path) -> Path | None:
    if path.is_file() and path.suffix.lower() == ".json":
        return path
    return path / PANOPTIC_JSON if (path / PANOPTIC_JSON).is_file() else None


def _pngs_of(json_file: Path) -> Path:
    """The folder named like the JSON, as COCO has it; else the JSON's own, as detectron2 has it."""
    folder = json_file.with_suffix("")
    return folder if folder.is_dir() else json_file.parent


def _of_dataset(path: Path, dataset: PanopticDataset) -> LabelSet:
    annotations = {annotation.file_name: annotation for annotation in dataset.annotations}
    if len(annotations) < len(dataset):
        names = [annotation.file_name for annotation in dataset.annotations]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"{dataset.path}: two images are called {twice!r}; rename one")

    def read(image: str) -> tuple[PanopticMap, Path | None]:
        annotation = annotations[image]
        return dataset.read_map(annotation), dataset.folder / annotation.png_name

    return LabelSet(
        path=path,
        vocabulary=dataset.vocabulary,
        images=tuple(annotations),
        read=read,
        dataset=dataset,
    )


def _of_class_pngs(folder: ClassPngFolder) -> LabelSet:
    def read(image: str) -> tuple[PanopticMap, Path | None]:
        ids = folder.read(image)
        segments = tuple(
            Segment(index, category.id, category.is_thing, *measured)
            for index, measured in measure(ids).items()
            for category in (folder.vocabulary.categories[index - 1],)
        )
        return PanopticMap(ids, segments), None

    return LabelSet(
        path=folder.path,
        vocabulary=folder.vocabulary,
        images=folder.images,
        read=read,
        has_segments=False,
    )
