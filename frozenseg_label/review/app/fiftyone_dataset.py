"""A run folder as a FiftyOne dataset: one field of instance masks, for things and stuff alike.

The truth stays in the run folder; the dataset is a working copy that people edit. Opening a run
again brings in what is new there, and keeps what people did and did not save yet.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from frozenseg_label.errors import ReviewError
from frozenseg_label.files import explained, make_folder, refuse_links
from frozenseg_label.part import Part
from frozenseg_label.progress_bar import shown
from frozenseg_label.review.app.actions import SAVED
from frozenseg_label.review.app.pictures import follow_pictures, nothing_to_show
from frozenseg_label.review.app.samples import (
    CHANGING,
    declare_fields,
    reload_image,
    samples_of,
    shown_image,
)
from frozenseg_label.review.app.segment_documents import insert_samples
from frozenseg_label.review.app.views import show_classes, show_queue
from frozenseg_label.review.corrections.opened_labels import (
    key_of,
    labels_at,
    places_by_key,
    read_opened,
)
from frozenseg_label.review.corrections.regions import is_untouched
from frozenseg_label.review.queue.review_queue import ReviewQueue
from frozenseg_label.runs.layout import OPENED
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo

PREFIX = "frozenseg"
TAG = "frozenseg-label"  # of our datasets; people may give them other names
TURN = "lock"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A dataset that shows a run folder.

    Attributes:
        dataset: the FiftyOne dataset.
        added, renewed: images that are new in it, or whose labels changed in the run folder.
        kept: images whose labels changed there, while people's edits here are not saved yet.
        left_out: images that cannot be shown, or whose new labels cannot, and why.
        lost: images that are shown, and the places at which their pictures are no longer.
    """

    dataset: "fo.Dataset"
    added: int
    renewed: int
    kept: int
    left_out: dict[str, str]
    lost: dict[str, str]


def open_dataset(run: RunReader, *, part: Part | None = None, progress: bool = False) -> Opened:
    """Make the dataset of a run folder, or bring it up to date.

    Args:
        part: only images of this part come in; None: all. What is in the dataset stays there.
        progress: whether to show how far it is.

    Raises:
        ReviewError: no image can be shown; nothing was made then.
    """
    queue = ReviewQueue(run)
    with _turn(run):
        found = find_datasets(run)
        dataset = found[0] if found else None
        opened = {} if dataset is None else opened_keys(dataset)
        left_out: dict[str, str] = {}
        mine = [image for image in queue.images if part is None or part.has(image)]
        if queue and not mine:
            raise ReviewError(f"{run.path}: none of its {len(queue)} images is in this part")
        new = [image for image in mine if image not in opened]
        images = map(queue.read, shown(new, show=progress, doing="opening"))
        samples = samples_of(run, images, left_out)
        first = next(samples, None)
        if first is None and not opened:
            raise ReviewError(nothing_to_show(run, left_out))
        if dataset is None:
            dataset = _new_dataset(run)
        else:
            declare_fields(dataset)  # an earlier version of ours had fewer
        _describe(dataset, run)
        lost = follow_pictures(run, dataset)
        added = insert_samples(dataset, samples if first is None else chain([first], samples))
        renewed, kept = _renew(run, dataset, queue, opened, left_out, progress)
        show_classes(dataset, run.vocabulary)
        show_queue(dataset, queue, part)
    return Opened(dataset, added, renewed, kept, left_out, lost)


def find_datasets(run: RunReader) -> list["fo.Dataset"]:
    """Return the datasets of a run folder, also of one that was moved; the fullest comes first.

    There is one at most, unless an earlier version of ours left several. A copy of a run folder is
    another run.
    """
    import fiftyone as fo

    here = f"{run.path.absolute()}"
    found, moved = [], []
    for name in fo.list_datasets(tags=TAG):
        dataset = fo.load_dataset(name, reload=True)
        if dataset.info.get("run") != run.manifest.created.isoformat():
            continue
        if dataset.info.get("run_folder") == here:
            found.append(dataset)
        elif not Path(dataset.info.get("run_folder", "")).exists():
            moved.append(dataset)
    return sorted(found or moved, key=lambda dataset: (-len(dataset), dataset.created_at))


def opened_keys(dataset: "fo.Dataset") -> dict[str, str]:
    """Return the key of the labels that each image shows, by image."""
    shown = zip(*dataset.values(["image", "opened"]), strict=True)
    return {image: key for image, key in shown if image is not None}


@contextmanager
def _turn(run: RunReader) -> Iterator[None]:
    """Let one program after the other open a run: two at once would make two datasets of it."""
    refuse_links(run.path, f"{OPENED}/{TURN}")
    path = run.path / OPENED / TURN
    with explained(path):
        make_folder(path.parent)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another review opens %s just now; waiting for it", run.path)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _new_dataset(run: RunReader) -> "fo.Dataset":
    """Return an empty dataset with all the fields, named after the run.

    If a program is killed before the dataset is described, FiftyOne deletes it: `_describe` makes
    it last.
    """
    import fiftyone as fo

    dataset = fo.Dataset(_free_name(run.path.absolute().name), persistent=False)
    declare_fields(dataset)
    return dataset


def _free_name(folder: str) -> str:
    """Return a name that no dataset has; for FiftyOne, signs make no difference in names."""
    import fiftyone as fo
    from fiftyone.core.utils import to_slug

    taken = {to_slug(name) for name in fo.list_datasets()}
    stem = f"{PREFIX}-{folder}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if to_slug(name) not in taken)


def _describe(dataset: "fo.Dataset", run: RunReader) -> None:
    """Write down whose dataset it is, and the vocabulary for our buttons."""
    folder = f"{run.path.absolute()}"
    try:
        folder.encode()
    except UnicodeEncodeError as error:
        raise ReviewError(
            f"{ascii(folder)[1:-1]}: this path is not Unicode, which FiftyOne needs; rename it"
        ) from error
    dataset.info = {
        **{name: dataset.info[name] for name in (SAVED,) if name in dataset.info},
        "run": run.manifest.created.isoformat(),
        "run_folder": folder,
        "vocabulary": described_classes(run.vocabulary),
    }
    dataset.tags = sorted({*dataset.tags, TAG})
    dataset.save()
    if not dataset.persistent:
        dataset.persistent = True


def described_classes(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Return the classes as the `info` of a dataset has them."""
    return [
        {
            "name": category.name,
            "synonyms": list(category.synonyms),
            "is_thing": category.is_thing,
            "color": "#{:02x}{:02x}{:02x}".format(*category.color),
        }
        for category in vocabulary.categories
    ]


def _renew(
    run: RunReader,
    dataset: "fo.Dataset",
    queue: ReviewQueue,
    opened: Mapping[str, str],
    left_out: dict[str, str],
    progress: bool,
) -> tuple[int, int]:
    """Show new labels of images, except where people edited; returns how many of each."""
    from fiftyone import ViewField

    renewed = kept = 0
    there = (image for image in queue.images if opened.get(image))
    changed = [i for i in there if key_of(queue.read(i).labels) != opened[i]]
    then = places_by_key(run, {image: opened[image] for image in changed})
    for queued in map(queue.read, shown(changed, show=progress, doing="renewing")):
        old = read_opened(run, queued.image, labels_at(run, then, queued.image))
        if old is None:
            left_out[queued.image] = "the labels that it shows are gone from the run folder"
            continue  # nobody can tell what people did from what they were shown
        sample = dataset.one(ViewField("image") == queued.image)
        if not is_untouched(old, shown_image(sample, old)):
            kept += 1
        elif reload_image(run, sample, queued, old.labels):
            renewed += 1
        else:
            left_out[queued.image] = CHANGING
    return renewed, kept
