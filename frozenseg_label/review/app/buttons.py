"""What the buttons of our plugin do to the dataset; a save then brings it into the run folder."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects, label

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.actions import before_images, before_segments
from frozenseg_label.review.app.samples import EDITED_TAG, region_of
from frozenseg_label.review.app.segment_documents import SEGMENTS
from frozenseg_label.review.app.segment_fields import (
    change_tags,
    forget,
    set_values_of,
    values_of,
)
from frozenseg_label.review.app.views import is_open, is_open_image, is_open_patch
from frozenseg_label.review.corrections.brush import drawn
from frozenseg_label.review.corrections.regions import TAGS, Mask

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone import ViewExpression, ViewField

SMALLEST_PART = 50  # pixels; crumbs stay with the largest part


def tag_segments(dataset: "fo.Dataset", ids: Collection[str], tag: str) -> int:
    """Accept segments, reject them or propose them again; returns how many there are.

    Their masks are not read.
    """
    said = f"{counted(len(ids), 'segment')} {tag}"
    before_segments(dataset, ids, ["tags"], said, verdict=tag)
    change_tags(dataset, ids, add=tag, remove=TAGS - {tag})
    return len(ids)


def tag_images(dataset: "fo.Dataset", ids: Sequence[str], tag: str) -> int:
    """Accept or reject all proposed segments of whole images; returns how many there are."""
    before_images(dataset, ids, "tags", f"{counted(len(ids), 'image')} {tag}", decides=True)
    view = dataset.select(list(ids))
    view.untag_samples(TAGS - {tag})
    view.tag_samples(tag)
    return len(ids)


def relabel_segments(dataset: "fo.Dataset", ids: Collection[str], name: str) -> int:
    """Give segments another class; returns how many there are."""
    said = f"{counted(len(ids), 'segment')} changed to {name}"
    return _relabel(dataset, dict.fromkeys(ids, name), said)


def take_second(dataset: "fo.Dataset", ids: Collection[str]) -> int:
    """Give segments the class that their model held for the next likely; returns how many."""
    named = {id_: name for id_, name in values_of(dataset, ids, "second") if name is not None}
    if not named:
        raise ReviewError("the selected segments have no second class; use relabel")
    said = f"{counted(len(named), 'segment')} changed to the second class"
    return _relabel(dataset, named, said)


def note_segments(dataset: "fo.Dataset", ids: Collection[str], note: str) -> int:
    """Write a note on segments; an empty one takes it away. Returns how many there are."""
    before_segments(dataset, ids, ["note"], f"{counted(len(ids), 'segment')} noted")
    set_values_of(dataset, "note", dict.fromkeys(ids, note))
    return len(ids)


def note_images(dataset: "fo.Dataset", ids: Sequence[str], note: str) -> int:
    """Write a note on images; an empty one takes it away. Returns how many there are."""
    before_images(dataset, ids, "note", f"{counted(len(ids), 'image')} noted")
    dataset.set_values("note", dict.fromkeys(ids, note), key_field="id")
    return len(ids)


def next_segment(dataset: "fo.Dataset", image: str) -> str | None:
    """Return the most doubtful segment of an image that waits for a verdict; None: there is none.

    Args:
        image: FiftyOne's id of it.
    """
    from fiftyone import ViewField

    view = dataset.select(image).filter_labels(SEGMENTS, is_open(ViewField))
    ids, gains = view.values([f"{SEGMENTS}.detections.{name}" for name in ("id", "gain")])
    segments = [(gain or 0, id_) for id_, gain in zip(ids[0], gains[0], strict=True)] if ids else []
    return max(segments)[1] if segments else None


def next_shown(view: "fo.DatasetView", current: str | None) -> str | None:
    """Return what a view shows after an image or patch and still waits for a verdict.

    After the last one comes the first one; None: nothing else waits.

    Args:
        view: the one that is in the App, of images or of patches.
        current: id of the image or patch; None: the grid is shown, and the first one comes next.
    """
    from bson import ObjectId
    from fiftyone import ViewField

    waits = is_open_patch() if view._is_patches else is_open_image()
    if current is not None:
        waits |= ViewField("_id") == ObjectId(current)
    ids = view.match(waits).values("id")
    at = ids.index(current) if current in ids else -1
    return next((id_ for id_ in [*ids[at + 1 :], *ids[: max(at, 0)]]), None)


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
        notes = [one.note for one in chosen if one.has_field("note") and one.note]
        chosen[largest]["note"] = "; ".join(dict.fromkeys(notes))
    for sample, chosen in images:
        sample.save()
        left = {one.id for one in sample[SEGMENTS].detections}
        forget(dataset, {one.id for one in chosen} - left)
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


def second_classes(dataset: "fo.Dataset", ids: Collection[str]) -> list[str]:
    """Return the second classes of segments, each once, the most frequent first."""
    names = Counter(name for _, name in values_of(dataset, ids, "second") if name is not None)
    return [name for name, _ in names.most_common()]


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

    def is_sure(segment: "Callable[[str], ViewField]") -> "ViewExpression":
        return (segment("confidence") >= score) & is_open(segment)

    if view._is_patches:
        patches = view.match(is_sure(lambda name: ViewField(f"{SEGMENTS}.{name}")))
        return list(patches.values(f"{SEGMENTS}.id"))
    labels = view.filter_labels(SEGMENTS, is_sure(ViewField))
    return list(labels.values(f"{SEGMENTS}.detections.id", unwind=True))


def _relabel(dataset: "fo.Dataset", names: Mapping[str, str], said: str) -> int:
    """Give segments other classes, by id; returns how many there are."""
    before_segments(dataset, names, ["label", "tags"], said, verdict=EDITED_TAG)
    set_values_of(dataset, "label", names)
    change_tags(dataset, names, add=EDITED_TAG, remove=TAGS)
    return len(names)


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
