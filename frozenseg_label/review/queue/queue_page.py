"""The review queue as a static page: for people without the App, or to send to a colleague."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.addresses import Address
from frozenseg_label.pages.html_report import write_html_report
from frozenseg_label.pages.report_image import Figure, ReportImage, ReportLayer, existing
from frozenseg_label.pages.report_text import ReportTable
from frozenseg_label.panoptic import ImageState, PanopticMap
from frozenseg_label.review.queue.review_queue import QueuedImage, ReviewQueue
from frozenseg_label.runs.run_reader import RunReader

ORDER = "queue"


@dataclass(frozen=True)
class QueuePage:
    """A page that was written.

    Attributes:
        path: of its `index.html`.
        images: how many it shows.
        without_picture: how many of them have no picture where the run looks for it.
    """

    path: Path
    images: int
    without_picture: int


def write_queue_page(run: RunReader, folder: Path) -> QueuePage:
    """Write the page of a run, most doubtful images first.

    Corrected images show the model's own map, too, as the layer "before".
    """
    queue = ReviewQueue(run)
    title = f"{run.path.absolute().name}: what to look at first"
    images = (_image(run, queued) for queued in queue)
    table = _table(queue, run.manifest.warnings)
    page = write_html_report(folder, title, run.vocabulary, images, [table], order=ORDER)
    missing = sum(_place(run, image) is None for image in queue.images)
    return QueuePage(page, len(queue), missing)


def _place(run: RunReader, image: str) -> Path | Address | None:
    """Return where a picture is; None if it is no file. At an address, only reading it can tell."""
    return run.root / image if isinstance(run.root, Address) else existing(run.picture(image))


def _image(run: RunReader, queued: QueuedImage) -> ReportImage:
    labels = run.read_map(queued.image)
    return ReportImage(
        name=queued.image,
        path=_place(run, queued.image),
        layers=tuple(_layers(run, queued, labels)),
        figures=(
            Figure("gain", queued.gain, digits=2, worst="highest"),
            Figure("unlabelled %", 100 * queued.unlabelled, worst="highest"),
        ),
        notes=(queued.labels.note,) if queued.labels.note else (),
        state=queued.state,
    )


def _layers(run: RunReader, queued: QueuedImage, labels: PanopticMap) -> Iterator[ReportLayer]:
    stored = queued.labels.proposed
    if stored is not None and not stored.lost_classes(run.vocabulary):
        yield ReportLayer("before", run.read_proposed(queued.image))
    yield ReportLayer("labels", labels)


def _table(queue: ReviewQueue, warnings: Sequence[str]) -> ReportTable:
    """Return how far people are, under it what was said of all labels when they were made."""
    images, segments = queue.images_by_state, queue.segments_by_state
    states: tuple[ImageState, ...] = ("unseen", "in review", "reviewed")
    rows = ((state, images[state], segments[state]) for state in states)
    return ReportTable(
        title="How far people have looked",
        columns=("state", "images", "segments"),
        rows=tuple(rows),
        note="".join(f"Beware: {warning}. " for warning in warnings)
        + "Gain is what a look at an image promises: doubtful segments, rare classes and "
        "unlabelled pixels, divided by the work that it takes.",
    )
