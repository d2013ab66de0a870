"""A run folder as a FiftyOne dataset: one field of instance masks, for things and stuff alike.

The truth stays in the run folder; the dataset is a working copy that people edit. Opening a run
again brings in what is new there, and leaves alone what people did and have not saved yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.review.app.datasets import describe, find_dataset, new_dataset
from frozenseg_label.review.app.samples import CHANGING, regions_of, reload_image, samples_of
from frozenseg_label.review.app.views import SEGMENTS, save_views, show_classes
from frozenseg_label.review.corrections.opened_labels import key_of, labels_by_key, read_opened
from frozenseg_label.review.corrections.regions import is_untouched
from frozenseg_label.review.queue.review_queue import QueuedImage, review_queue
from frozenseg_label.runs.run_folder import RunFolder

if TYPE_CHECKING:
    import fiftyone as fo


@dataclass(frozen=True)
class Opened:
    """A dataset that shows a run folder.

    Attributes:
        dataset: the FiftyOne dataset.
        added, renewed: images that are new in it, or whose labels changed in the run folder.
        kept: images whose labels changed there, while what people did here is not saved yet.
        left_out: images that cannot be shown, or not their new labels, and why.
    """

    dataset: "fo.Dataset"
    added: int
    renewed: int
    kept: int
    left_out: dict[str, str]


def open_dataset(run: RunFolder) -> Opened:
    """Make the dataset of a run folder, or bring it up to date."""
    queue = review_queue(run)
    dataset = find_dataset(run) or new_dataset(run)
    describe(dataset, run)
    _follow_images(run, dataset)
    opened = dict(zip(*dataset.values(["image", "opened"]), strict=True))
    left_out: dict[str, str] = {}
    new = [queued for queued in queue if queued.image not in opened]
    samples = samples_of(run, new, left_out)
    added = len(dataset.add_samples(samples, validate=False, progress=False, num_samples=len(new)))
    changed = [q for q in queue if opened.get(q.image, "") not in ("", key_of(q.labels))]
    renewed, kept = _renew(run, dataset, changed, opened, left_out)
    if opened:
        rank(dataset, queue)
    show_classes(dataset, run.vocabulary)
    save_views(dataset)
    return Opened(dataset, added, renewed, kept, left_out)


def rank(dataset: "fo.Dataset", queue: Sequence[QueuedImage]) -> None:
    """Write the gain of images and segments where it is another one now; edits are not touched."""
    by_image = {queued.image: queued for queued in queue}
    gains: dict[str, list[float | None]] = {}
    changed: dict[str, list[bool | None]] = {}
    of_images: dict[str, dict[str, float | str]] = {"gain": {}, "unlabelled": {}, "state": {}}
    fields = ["segment_id", "gain", "changed"]
    columns = ["id", "image", *of_images, *(f"{SEGMENTS}.detections.{name}" for name in fields)]
    for id_, image, *facts, segments, had_gains, had_changed in zip(
        *dataset.values(columns), strict=True
    ):
        queued = by_image.get(image)
        if queued is None:
            continue
        now = (queued.gain, queued.unlabelled, queued.state)
        for name, had, value in zip(of_images, facts, now, strict=True):
            if had != value:
                of_images[name][id_] = value
        items = {item.segment.id: item for item in queued.segments}
        here = [items.get(segment) for segment in segments or ()]
        gains_now = [None if item is None else item.gain for item in here]
        changed_now = [None if item is None else item.changed for item in here]
        if gains_now != (had_gains or []):
            gains[id_] = gains_now
        if changed_now != (had_changed or []):
            changed[id_] = changed_now
    for name, values in of_images.items():
        dataset.set_values(name, values, key_field="id")
    dataset.set_values(f"{SEGMENTS}.detections.gain", gains, key_field="id")
    dataset.set_values(f"{SEGMENTS}.detections.changed", changed, key_field="id")


def _renew(
    run: RunFolder,
    dataset: "fo.Dataset",
    changed: Sequence[QueuedImage],
    opened: Mapping[str, str],
    left_out: dict[str, str],
) -> tuple[int, int]:
    """Show new labels of images, but for those that people edited; returns how many of each."""
    from fiftyone import ViewField

    renewed = kept = 0
    then = labels_by_key(run, {queued.image: opened[queued.image] for queued in changed})
    for queued in changed:
        labels = then.get(queued.image)
        base = None
        if labels is not None:
            base = read_opened(run.path, queued.image, labels, run.vocabulary)
        if labels is None or base is None:
            left_out[queued.image] = "the labels that it shows are gone from the run folder"
            continue  # what people did cannot be told from what they were shown
        sample = dataset.one(ViewField("image") == queued.image)
        regions = regions_of(sample[SEGMENTS], (labels.height, labels.width))
        if not is_untouched(base, regions, frozenset(sample.tags), run.vocabulary):
            kept += 1
        elif reload_image(run, sample, queued, labels):
            renewed += 1
        else:
            left_out[queued.image] = CHANGING
    return renewed, kept


def _follow_images(run: RunFolder, dataset: "fo.Dataset") -> None:
    """Let samples point to where the images are now."""
    root = Path(run.manifest.root or "/")
    images, paths = dataset.values(["image", "filepath"])
    now = [
        path if image is None else f"{root / image}"  # None: somebody's own sample
        for image, path in zip(images, paths, strict=True)
    ]
    if now != paths:
        dataset.set_values("filepath", now)
