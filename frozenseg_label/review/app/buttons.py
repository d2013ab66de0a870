"""What the buttons of our plugin do to the dataset; a save then brings it into the run folder."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects, label

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.actions import (
    before_image_tags,
    before_labels,
    before_tags,
    values_of,
)
from frozenseg_label.review.app.samples import SEGMENTS, region_of
from frozenseg_label.review.corrections.brush import drawn
from frozenseg_label.review.corrections.regions import ACCEPTED, REJECTED, TAGS, Mask

if TYPE_CHECKING:
    import fiftyone as fo

SMALLEST_PART = 50  # pixels; crumbs stay with the largest part


def tag_segments(dataset: "fo.Dataset", ids: Collection[str], tag: str) -> int:
    """Accept segments, reject them or propose them again; returns how many there are.

    Their masks are not read.
    """
    before_tags(dataset, ids, f"{counted(len(ids), 'segment')} {tag}")
    view = dataset.select_labels(ids=list(ids), fields=SEGMENTS)
    view.untag_labels(TAGS - {tag}, SEGMENTS)
    view.tag_labels(tag, SEGMENTS)
    return len(ids)


def tag_images(dataset: "fo.Dataset", ids: Sequence[str], tag: str) -> int:
    """Accept or reject all proposed segments of whole images; returns how many there are."""
    before_image_tags(dataset, ids, f"{counted(len(ids), 'image')} {tag}")
    view = dataset.select(list(ids))
    view.untag_samples(TAGS - {tag})
    view.tag_samples(tag)
    return len(ids)


def relabel_segments(dataset: "fo.Dataset", ids: Collection[str], name: str) -> int:
    """Give segments another class; returns how many there are."""
    before_labels(dataset, ids, f"{counted(len(ids), 'segment')} changed to {name}")
    dataset.set_label_values(f"{SEGMENTS}.detections.label", dict.fromkeys(ids, name))
    return len(ids)


def take_second(dataset: "fo.Dataset", ids: Collection[str]) -> int:
    """Give segments the class that their model held for the next likely; returns how many."""
    named = {id_: name for id_, name in values_of(dataset, ids, "second") if name is not None}
    if not named:
        raise ReviewError("the selected segments have no second class; use relabel")
    before_labels(dataset, named, f"{counted(len(named), 'segment')} changed to the second class")
    dataset.set_label_values(f"{SEGMENTS}.detections.label", named)
    return len(named)


def merge_segments(dataset: "fo.Dataset", ids: Collection[str]) -> int:
    """Merge the segments of each image into the largest one; returns how many there are then."""
    images = list(_chosen(dataset, ids))
    if any(len(chosen) < 2 for _, chosen in images):
        raise ReviewError("select two segments or more of one image to merge them")
    for sample, chosen in images:
        pixels = [_pixels(sample, detection) for detection in chosen]
        largest = int(np.argmax([mask.sum() for mask in pixels]))
        _set_pixels(sample, chosen[largest], np.logical_or.reduce(pixels))
        gone = {detection.id for detection in chosen} - {chosen[largest].id}
        detections = sample[SEGMENTS].detections
        sample[SEGMENTS].detections = [one for one in detections if one.id not in gone]
    for sample, _ in images:
        sample.save()
    return len(images)


def split_segments(dataset: "fo.Dataset", ids: Collection[str]) -> int:
    """Split segments into parts that do not touch; returns how many new segments there are."""
    new = 0
    for sample, chosen in _chosen(dataset, ids):
        for detection in chosen:
            pixels = _pixels(sample, detection)
            parts, number = label(pixels, np.ones((3, 3)))  # [H, W]
            areas = np.bincount(parts.ravel(), minlength=number + 1)[1:]
            main = int(np.argmax(areas)) + 1
            others = [at + 1 for at, area in enumerate(areas) if area >= SMALLEST_PART]
            for part in (part for part in others if part != main):
                mask = parts == part
                pixels &= ~mask
                sample[SEGMENTS].detections.append(_new_detection(sample, detection.label, mask))
                new += 1
            _set_pixels(sample, detection, pixels)
        sample.save()
    return new


def class_choices(dataset: "fo.Dataset", wanted: Callable[[bool], bool]) -> dict[str, str]:
    """Return the class for each text that a person may type: its name or one of its synonyms.

    Args:
        wanted: tells whether things (True) and stuff (False) may be chosen.
    """
    choices: dict[str, str] = {}
    for row in dataset.info.get("vocabulary", []):
        if wanted(row["is_thing"]):
            choices[row["name"]] = row["name"]
            for synonym in row["synonyms"]:
                choices.setdefault(f"{synonym} = {row['name']}", row["name"])
    return choices


def kinds_of(dataset: "fo.Dataset", ids: Collection[str]) -> set[bool]:
    """Return whether there are things (True) and stuff (False) among these segments."""
    things = {row["name"]: bool(row["is_thing"]) for row in dataset.info.get("vocabulary", [])}
    labels = {one.label for _, chosen in _chosen(dataset, ids) for one in chosen}
    return {things.get(name, True) for name in labels}


def counted(count: int, noun: str) -> str:
    """Return "1 segment", "2 segments"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sure_segments(view: "fo.DatasetView", score: float) -> list[str]:
    """Return ids of a view's proposed segments with at least this score and no verdict yet."""
    from fiftyone import ViewField

    def is_sure(segment: "Callable[[str], ViewField]") -> "ViewField":
        is_open = ~segment("tags").contains([ACCEPTED, REJECTED])
        return (segment("confidence") >= score) & (segment("state") == "proposed") & is_open

    if view._is_patches:
        patches = view.match(is_sure(lambda name: ViewField(f"{SEGMENTS}.{name}")))
        return list(patches.values(f"{SEGMENTS}.id"))
    labels = view.filter_labels(SEGMENTS, is_sure(ViewField))
    return list(labels.values(f"{SEGMENTS}.detections.id", unwind=True))


def _chosen(
    dataset: "fo.Dataset", ids: Collection[str]
) -> Iterator[tuple["fo.Sample", list["fo.Detection"]]]:
    """Yield the images of segments, with those of their segments that were chosen."""
    wanted = set(ids)
    for id_ in dataset.select_labels(ids=list(wanted), fields=SEGMENTS).values("id"):
        sample = dataset[id_]
        yield sample, [one for one in sample[SEGMENTS].detections if one.id in wanted]


def _pixels(sample: "fo.Sample", detection: "fo.Detection") -> Mask:
    """Return the pixels of a segment in the whole image [H, W]."""
    size = sample.metadata.height, sample.metadata.width
    region = region_of(detection, size)
    if not region.is_exact:
        raise ReviewError(
            f"{detection.label}: somebody painted on it in the App; save corrections first, "
            "then try again"
        )
    stroke = drawn(size, region)
    pixels = np.zeros(size, dtype=np.bool_)
    pixels[stroke.where] = stroke.gained
    return pixels


def _set_pixels(sample: "fo.Sample", detection: "fo.Detection", pixels: Mask) -> None:
    box, mask = _box_and_mask(sample, pixels)
    detection.bounding_box, detection.mask = box, mask


def _new_detection(sample: "fo.Sample", name: str, pixels: Mask) -> "fo.Detection":
    import fiftyone as fo

    box, mask = _box_and_mask(sample, pixels)
    return fo.Detection(label=name, bounding_box=box, mask=mask)


def _box_and_mask(sample: "fo.Sample", pixels: Mask) -> tuple[list[float], Mask]:
    rows, columns = find_objects(pixels.astype(np.uint8))[0]
    width, height = sample.metadata.width, sample.metadata.height
    box = [
        columns.start / width,
        rows.start / height,
        (columns.stop - columns.start) / width,
        (rows.stop - rows.start) / height,
    ]
    return box, pixels[rows, columns]
