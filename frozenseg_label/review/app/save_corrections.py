"""Corrections from FiftyOne into the run folder, and the saved labels back into FiftyOne."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.errors import ReviewError
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.progress_bar import Bar, progress_bar
from frozenseg_label.review.app.actions import SAVED
from frozenseg_label.review.app.fiftyone_dataset import find_datasets, opened_keys
from frozenseg_label.review.app.samples import reload_image, shown_image, text_of
from frozenseg_label.review.app.similarity import SEGMENTS_KEY, add_similarity, read_vectors
from frozenseg_label.review.app.views import show_queue
from frozenseg_label.review.corrections.correct_image import ImageReport, correct_image
from frozenseg_label.review.corrections.opened_labels import (
    OpenedLabels,
    key_of,
    labels_at,
    places_by_key,
    read_opened,
)
from frozenseg_label.review.corrections.regions import ShownImage
from frozenseg_label.review.queue.review_queue import ReviewQueue
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.run_folder import RunFolder

if TYPE_CHECKING:
    import fiftyone as fo

SETTLE_SECONDS = 2.0  # for the App to send the mask after the box; a second was seen
# After these, segments have come or gone, or have ids of FiftyOne's that similarity does not know.
RESHAPING = {"rejected", "reshaped", "added", "removed", "merged"}
GONE = (
    "the labels that were opened for review are gone from the run folder; restore them, or "
    "delete the image from FiftyOne's dataset and open the run again"
)


@dataclass(frozen=True)
class SaveReport:
    """What a save did.

    Attributes:
        output: the run folder.
        images: those that people edited since the last save.
        untouched: number of the others.
    """

    output: Path
    images: tuple[ImageReport, ...]
    untouched: int


def save_corrections(
    output: Path, *, user: str | None = None, progress: bool = False
) -> SaveReport:
    """Write what people did in FiftyOne into the run folder, image by image, each whole or not.

    A second time changes nothing.

    Args:
        output: the run folder.
        user: name of the person, for images on which no button of the App wrote another one.
        progress: whether to show how far it is.
    """
    with RunFolder.open_to_correct(output) as run:
        datasets = find_datasets(run)
        if not datasets:
            raise ReviewError(
                f"{run.path} is not open for review: FiftyOne has no dataset of it; open it first: "
                f"frozenseg-label review {run.path}"
            )
        return _save(run, datasets, user, progress)


def _save(
    run: RunFolder, datasets: Sequence["fo.Dataset"], user: str | None, progress: bool
) -> SaveReport:
    """Save the corrections of all datasets of a run: an earlier version of ours made several."""
    reports: list[ImageReport] = []
    images: set[str] = set()
    saved = []
    for dataset in datasets:
        shown = _Shown(places_by_key(run, opened_keys(dataset)), user)
        with progress_bar(len(dataset), show=progress, doing="saving") as bar:
            images |= _save_dataset(run, dataset, shown, reports, bar)
        saved.append((dataset, shown))
    run.finish()
    queue = ReviewQueue(run)
    reshaped = any(change.kind in RESHAPING for one in reports for change in one.changes)
    for dataset, shown in saved:
        _show(run, dataset, shown, queue)
        if reshaped and dataset.has_brain_run(SEGMENTS_KEY):
            add_similarity(dataset, read_vectors(run))
    untouched = len(images) - len({report.image for report in reports})
    return SaveReport(run.path, tuple(reports), untouched)


@dataclass(frozen=True)
class _Shown:
    """What a dataset showed before a save.

    Attributes:
        then: the journal's row of the labels, by image.
        user: who saves it; None: nobody said.
        outdated: ids of samples that have to show other labels now, and when each was changed last
            before it was saved.
    """

    then: Mapping[str, RowPlace]
    user: str | None
    outdated: dict[str, datetime] = field(default_factory=dict)


def _save_dataset(
    run: RunFolder, dataset: "fo.Dataset", shown: _Shown, reports: list[ImageReport], bar: Bar
) -> set[str]:
    """Save the corrections in one dataset; returns the names of its images."""
    images = set()
    for sample in dataset.iter_samples():
        bar.update()
        entry = run.entry(sample["image"])
        if entry is None or entry.labels is None:
            continue
        images.add(entry.image)
        report = _save_image(run, sample, entry, entry.labels, shown)
        if report is not None:
            reports.append(report)
        saved = report is not None and report.problem is None
        if saved or (report is None and key_of(entry.labels) != sample["opened"]):
            shown.outdated[sample.id] = sample.last_modified_at
    return images


def _save_image(
    run: RunFolder, sample: "fo.Sample", entry: Entry, now: Labels, before: _Shown
) -> ImageReport | None:
    """Save the corrections of one image; None where there are none."""
    opened = read_opened(run, entry.image, labels_at(run, before.then, entry.image))
    if opened is None:
        return ImageReport(entry.image, now.state, problem=GONE)
    user = text_of(sample, "reviewer") or before.user
    return correct_image(run, entry, now, opened, _settled(sample, opened), user)


def _settled(sample: "fo.Sample", opened: OpenedLabels) -> ShownImage:
    """Return what the App shows, once the boxes and masks that it sends belong together."""
    until = time.monotonic() + SETTLE_SECONDS
    shown = shown_image(sample, opened)
    while any(region.is_torn for region in shown.regions) and time.monotonic() < until:
        time.sleep(SETTLE_SECONDS / 10)
        sample.reload()
        shown = shown_image(sample, opened)
    return shown


def _show(run: RunFolder, dataset: "fo.Dataset", shown: _Shown, queue: ReviewQueue) -> None:
    """Let FiftyOne show the present labels; edits since the save stay: the next save takes them."""
    queued = frozenset(queue.images)
    for id_ in dataset.select(list(shown.outdated)).values("id"):
        sample = dataset[id_]
        image = sample["image"]
        if image in queued and sample.last_modified_at == shown.outdated[id_]:
            reload_image(run, sample, queue.read(image), labels_at(run, shown.then, image))
    show_queue(dataset, queue)
    dataset.info[SAVED] = datetime.now(UTC).isoformat()
    dataset.save()
