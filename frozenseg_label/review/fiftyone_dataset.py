"""A run folder as a FiftyOne dataset: one field of instance masks, for things and stuff alike.

The truth stays in the run folder; the dataset is a working copy that people edit. Opening a run
again brings in what is new there, and leaves alone what people did and have not saved yet.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozenseg_label.errors import ReviewError
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.review.edits import TAGS, Region, is_untouched
from frozenseg_label.review.opened_labels import keep_opened, key_of, labels_by_key, read_opened
from frozenseg_label.review.queue import QueuedImage, QueuedSegment, review_queue
from frozenseg_label.review.views import SEGMENTS, save_views, show_classes
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo

log = logging.getLogger(__name__)

PREFIX = "frozenseg"


@dataclass(frozen=True)
class Opened:
    """A dataset that shows a run folder.

    Attributes:
        dataset: the FiftyOne dataset.
        added, renewed: images that are new in it, or whose labels changed in the run folder.
        kept: images whose labels changed there, while what people did here is not saved yet.
        left_out: images that cannot be shown, and why.
    """

    dataset: "fo.Dataset"
    added: int
    renewed: int
    kept: int
    left_out: dict[str, str]


def open_dataset(run: RunFolder) -> Opened:
    """Make the dataset of a run folder, or bring it up to date."""
    queue = review_queue(run)
    dataset = find_dataset(run) or _new_dataset(run)
    dataset.info = _info(run)
    dataset.save()
    _follow_images(run, dataset)
    opened = dict(zip(*dataset.values(["image", "opened"]), strict=True))
    left_out: dict[str, str] = {}
    new = [queued for queued in queue if queued.image not in opened]
    samples = _samples(run, new, left_out)
    added = len(dataset.add_samples(samples, validate=False, progress=False, num_samples=len(new)))
    changed = [q for q in queue if opened.get(q.image, "") not in ("", key_of(q.labels))]
    renewed, kept = _renew(run, dataset, changed, opened)
    if opened:
        rank(dataset, queue)
    show_classes(dataset, run.vocabulary)
    save_views(dataset)
    return Opened(dataset, added, renewed, kept, left_out)


def find_dataset(run: RunFolder) -> "fo.Dataset | None":
    """The dataset of a run folder, wherever the folder lay when it was made; None: there is none.

    A copy of a run folder is another run.
    """
    import fiftyone as fo

    here = f"{run.path.absolute()}"
    moved = None
    for name in fo.list_datasets(f"{PREFIX}-*"):
        info = fo.load_dataset(name, reload=True).info
        if info.get("run") != run.manifest.created.isoformat():
            continue
        if info.get("run_folder") == here:
            return fo.load_dataset(name)
        if not Path(info.get("run_folder", "")).exists():
            moved = name
    return fo.load_dataset(moved) if moved is not None else None


def reload_image(run: RunFolder, sample: "fo.Sample", queued: QueuedImage) -> None:
    """Let a sample show the labels as they stand in the run folder."""
    keep_opened(run.path, queued.image, queued.labels)
    labels = read_opened(run.path, queued.image, queued.labels, run.vocabulary)
    if labels is None:
        raise ReviewError(f"{run.path}: labels of {queued.image} changed meanwhile; try again")
    boxes = [d for d in sample[SEGMENTS].detections if d.mask is None] if sample[SEGMENTS] else []
    fields = _fields(queued, labels, run.vocabulary)
    fields[SEGMENTS].detections.extend(boxes)  # nobody can tell their pixels; they are not ours
    for name, value in fields.items():
        sample[name] = value
    sample.tags = [tag for tag in sample.tags if tag not in TAGS]
    sample.save()


def regions_of(detections: "fo.Detections | None", size: tuple[int, int]) -> list[Region]:
    """What stands in a sample now.

    Args:
        size: height and width of the image.
    """
    return [
        region_of(detection, size) for detection in (detections.detections if detections else [])
    ]


def region_of(detection: "fo.Detection", size: tuple[int, int]) -> Region:
    """One segment as it stands; `size` as of `regions_of`."""
    height, width = size
    x, y, w, h = detection.bounding_box
    id_ = detection.get_field("segment_id") if detection.has_field("segment_id") else None
    return Region(
        segment_id=None if id_ is None else int(id_),
        label=detection.label or "",
        mask=detection.mask,
        box=(x * width, y * height, w * width, h * height),
        tags=frozenset(detection.tags or ()),
    )


def _renew(
    run: RunFolder,
    dataset: "fo.Dataset",
    changed: Sequence[QueuedImage],
    opened: Mapping[str, str],
) -> tuple[int, int]:
    """Show new labels of images, but for those that people edited; returns how many of each."""
    renewed = 0
    then = labels_by_key(run, {queued.image: opened[queued.image] for queued in changed})
    for queued in changed:
        sample = dataset.one(_image_is(queued.image))
        labels = then.get(queued.image)
        if labels is None:
            continue
        base = read_opened(run.path, queued.image, labels, run.vocabulary)
        if base is None:
            continue  # what people did cannot be told from what they were shown
        regions = regions_of(sample[SEGMENTS], (labels.height, labels.width))
        if is_untouched(base, regions, frozenset(sample.tags), run.vocabulary):
            reload_image(run, sample, queued)
            renewed += 1
    return renewed, len(changed) - renewed


def rank(dataset: "fo.Dataset", queue: Sequence[QueuedImage]) -> None:
    """Write the gain of all images and segments anew; what people edit is not touched."""
    by_image = {queued.image: queued for queued in queue}
    images, ids = dataset.values(["image", f"{SEGMENTS}.detections.segment_id"])
    gains, changed, of_images = [], [], []
    for image, segment_ids in zip(images, ids, strict=True):
        queued = by_image.get(image)
        items = {i.segment.id: i for i in queued.segments} if queued is not None else {}
        here = [items.get(id_) for id_ in segment_ids or ()]
        gains.append([None if item is None else item.gain for item in here])
        changed.append([None if item is None else item.changed for item in here])
        of_images.append(queued)
    dataset.set_values(f"{SEGMENTS}.detections.gain", gains, dynamic=True)
    dataset.set_values(f"{SEGMENTS}.detections.changed", changed, dynamic=True)
    dataset.set_values("gain", [0.0 if q is None else q.gain for q in of_images])
    dataset.set_values("unlabelled", [0.0 if q is None else q.unlabelled for q in of_images])
    dataset.set_values("state", ["unseen" if q is None else q.state for q in of_images])


def _image_is(image: str) -> "fo.ViewExpression":
    from fiftyone import ViewField

    return ViewField("image") == image


def _follow_images(run: RunFolder, dataset: "fo.Dataset") -> None:
    """Let samples point to where the images are now."""
    root = Path(run.manifest.root or "/")
    images, paths = dataset.values(["image", "filepath"])
    now = [f"{root / image}" for image in images]
    if now != paths:
        dataset.set_values("filepath", now)


def _new_dataset(run: RunFolder) -> "fo.Dataset":
    import fiftyone as fo

    name = f"{PREFIX}-{run.path.absolute().name}"
    if fo.dataset_exists(name):
        name += (
            "-" + sha256(f"{run.path.absolute()}{run.manifest.created}".encode()).hexdigest()[:6]
        )
    dataset = fo.Dataset(name, persistent=True, overwrite=fo.dataset_exists(name))
    for field, kind in (
        ("image", fo.StringField),
        ("opened", fo.StringField),
        ("state", fo.StringField),
        ("gain", fo.FloatField),
        ("unlabelled", fo.FloatField),
    ):
        dataset.add_sample_field(field, kind)
    dataset.add_sample_field(SEGMENTS, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    for names, kind in (
        (("state", "source", "second"), fo.StringField),
        (("segment_id", "area"), fo.IntField),
        (("changed",), fo.BooleanField),
        (("margin", "disagreement", "contested", "sam_disagreement", "gain"), fo.FloatField),
    ):
        for name in names:  # declared, because the label schema refuses what no segment has yet
            dataset.add_sample_field(f"{SEGMENTS}.detections.{name}", kind)
    for field in ("image", "gain", "unlabelled"):
        dataset.create_index(field)
    return dataset


def _info(run: RunFolder) -> dict[str, Any]:
    return {
        "run": run.manifest.created.isoformat(),
        "run_folder": f"{run.path.absolute()}",
        "vocabulary": [
            {
                "name": category.name,
                "synonyms": list(category.synonyms),
                "is_thing": category.is_thing,
                "color": "#{:02x}{:02x}{:02x}".format(*category.color),
            }
            for category in run.vocabulary.categories
        ],
    }


def _samples(
    run: RunFolder, queue: Sequence[QueuedImage], left_out: dict[str, str]
) -> Iterator["fo.Sample"]:
    """Make samples; images that cannot be shown are told in `left_out`."""
    import fiftyone as fo

    root = Path(run.manifest.root or "/")
    for queued in queue:
        path = root / queued.image
        try:
            f"{path}".encode()
        except UnicodeEncodeError:
            left_out[queued.image] = "its name is no Unicode, which FiftyOne needs"
            continue
        if not path.exists():
            left_out[queued.image] = f"there is no {path}"
            continue
        keep_opened(run.path, queued.image, queued.labels)
        labels = read_opened(run.path, queued.image, queued.labels, run.vocabulary)
        if labels is None:
            left_out[queued.image] = "its labels changed meanwhile"
            continue
        yield fo.Sample(filepath=f"{path}", **_fields(queued, labels, run.vocabulary))


def _fields(queued: QueuedImage, labels: PanopticMap, vocabulary: Vocabulary) -> dict[str, Any]:
    """All fields of a sample that come from the run folder."""
    import fiftyone as fo

    size = queued.labels.width, queued.labels.height
    detections = [
        _detection(item, labels, vocabulary, size)
        for item in sorted(queued.segments, key=lambda item: item.segment.area)  # small ones on top
    ]
    return {
        "metadata": fo.ImageMetadata(width=size[0], height=size[1]),
        "image": queued.image,
        "opened": key_of(queued.labels),
        "state": queued.state,
        "gain": queued.gain,
        "unlabelled": queued.unlabelled,
        SEGMENTS: fo.Detections(detections=detections),
    }


def _detection(
    item: QueuedSegment, labels: PanopticMap, vocabulary: Vocabulary, size: tuple[int, int]
) -> "fo.Detection":
    import fiftyone as fo

    segment = item.segment
    x, y, width, height = segment.bbox
    second = None if segment.second is None else vocabulary.by_id(segment.second).name
    return fo.Detection(
        label=vocabulary.by_id(segment.category_id).name,
        bounding_box=[x / size[0], y / size[1], width / size[0], height / size[1]],
        mask=labels.ids[y : y + height, x : x + width] == segment.id,
        confidence=_rounded(segment.score),
        segment_id=segment.id,
        state=segment.state,
        source=segment.source,
        area=segment.area,
        second=second,
        margin=_rounded(segment.margin),
        disagreement=_rounded(segment.disagreement),
        contested=_rounded(segment.contested),
        sam_disagreement=_rounded(segment.sam_disagreement),
        gain=item.gain,
        changed=item.changed,
    )


def _rounded(value: float | None) -> float | None:
    """As people read it; the run folder has the rest."""
    return None if value is None else round(value, 4)
