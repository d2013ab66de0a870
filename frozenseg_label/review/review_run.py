"""The `review` job: show a run folder in FiftyOne, and save what people did there.

Heavy imports stay inside the functions: the command line reads its defaults here.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.errors import ReviewError, RunError

if TYPE_CHECKING:
    import fiftyone as fo
    import numpy as np
    from numpy.typing import NDArray

    from frozenseg_label.formats.export_image import ExportImage
    from frozenseg_label.part import Part
    from frozenseg_label.review.app.save_corrections import SaveReport
    from frozenseg_label.review.app.similarity import Found
    from frozenseg_label.review.queue.queue_page import QueuePage
    from frozenseg_label.runs.run_reader import RunReader
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)


def open_review(
    output: str | Path,
    *,
    user: str | None = None,
    part: str | None = None,
    port: int = 5151,
    address: str = "127.0.0.1",
    remote: bool = False,
    yes_expose_files: bool = False,
    progress: bool = False,
) -> None:
    """Show a run folder in FiftyOne's App until Ctrl-C; the most doubtful images come first.

    Opening it again brings in what is new in the folder, and keeps what people did.

    Args:
        output: the run folder.
        user: name of the person, for the journal.
        part: of the images, such as `2/5`: dealt out by the hash of their names; None: all.
        port: of the App.
        address: to bind to.
        remote: open no browser here.
        yes_expose_files: whether an address that other machines reach may be bound to: whoever
            reaches it may change labels, and read every file of this user.
        progress: show a bar on stderr while images are loaded.

    Raises:
        KeyboardInterrupt: Ctrl-C before the App was there; afterwards it ends the function.

    Returns:
        Nothing; it ends with Ctrl-C.

    Example:
        >>> frozenseg_label.open_review("labels")  # doctest: +SKIP
    """
    from frozenseg_label.part import Part
    from frozenseg_label.review.app.server import (
        open_browser,
        refuse_exposure,
        wait_for_interrupt,
    )
    from frozenseg_label.review.app.views import MOST_DOUBTFUL, name_of_view

    mine = None if part is None else Part.parse(part)
    if not yes_expose_files:
        refuse_exposure(address, port)
    with review_server(
        output, user=user, part=mine, port=port, address=address, progress=progress
    ) as dataset:
        page = f"{dataset}?view={name_of_view(MOST_DOUBTFUL, mine).replace(' ', '-')}"
        log.info("The App is at %s (Ctrl-C ends it)", page)
        if not remote:
            open_browser(page)
        elif address == "127.0.0.1":
            log.info("From another machine: ssh -N -L %d:127.0.0.1:%d THIS-MACHINE", port, port)
        with suppress(KeyboardInterrupt):
            wait_for_interrupt()


@contextmanager
def review_server(
    output: str | Path,
    *,
    user: str | None = None,
    part: "Part | None" = None,
    port: int = 5151,
    address: str = "127.0.0.1",
    progress: bool = False,
) -> Iterator[str]:
    """Serve the App while the block runs; yield the address of the page with the run's dataset.

    Args:
        output: the run folder.
        part: of the images; None: all.
        user, port, address, progress: as of `open_review`.
    """
    from frozenseg_label.review.app.database import connected
    from frozenseg_label.review.app.server import require_free_port, served_app
    from frozenseg_label.runs.opening import refuse_no_run

    refuse_no_run(Path(output))
    require_free_port(port, address)
    with connected(), _recovered(Path(output)) as run:
        from frozenseg_label.review.app.fiftyone_dataset import open_dataset
        from frozenseg_label.review.app.pictures import remedy_for_pictures

        opened = open_dataset(run, part=part, progress=progress)
        _add_similarity(run, opened.dataset)
    name = opened.dataset.name
    log.info(
        "%d images in FiftyOne's dataset %s: %d new, %d with new labels",
        len(opened.dataset), name, opened.added, opened.renewed,
    )  # fmt: skip
    if opened.kept:
        log.info(
            "%d images keep their old labels, because you edited these: save first",
            opened.kept,
        )
    for image, reason in opened.left_out.items():
        log.warning("not shown: %s, %s", ascii(image)[1:-1], reason)
    if opened.lost:
        log.warning(
            "%d pictures are not where they were (there is no %s), so their tiles stay empty; %s",
            len(opened.lost), next(iter(opened.lost.values())), remedy_for_pictures(run),
        )  # fmt: skip
    with served_app(port, address, user) as place:
        yield f"{place}/datasets/{name}"


@contextmanager
def _recovered(output: Path) -> Iterator["RunReader"]:
    """Yield a run to read; before, finish what a killed program left, unless one is at work now."""
    from frozenseg_label.runs.run_folder import RunFolder
    from frozenseg_label.runs.run_reader import RunReader

    with suppress(RunError), RunFolder.open_to_correct(output):  # other errors come again on read
        pass
    with RunReader.read(output) as run:
        yield run


def _add_similarity(run: "RunReader", dataset: "fo.Dataset") -> None:
    """Add "more like this" and the maps; runs of earlier versions have no vectors for them."""
    from frozenseg_label.review.app.similarity import add_similarity, read_vectors

    try:
        vectors = read_vectors(run)
    except ReviewError as error:
        log.info("no similarity and no map: %s", error)
    else:
        add_similarity(dataset, vectors)


def search_review(
    output: str | Path,
    words: str,
    vector: "NDArray[np.floating]",
    clip_hash: str,
    *,
    limit: int = 200,
    progress: bool = False,
) -> "Found":
    """Save a view of the segments that look most like words; returns where it is.

    Args:
        output: the run folder.
        words: to search for; they name the view.
        vector: of the words, [D], unit length.
        clip_hash: of the CLIP that made the vector.
        limit: number of segments in the view, at most.
        progress: show a bar on stderr while images are loaded.
    """
    from frozenseg_label.review.app.database import connected
    from frozenseg_label.runs.embeddings import short_clip_hash
    from frozenseg_label.runs.opening import refuse_no_run

    refuse_no_run(Path(output))
    with connected(), _recovered(Path(output)) as run:
        from frozenseg_label.review.app.fiftyone_dataset import open_dataset
        from frozenseg_label.review.app.similarity import read_vectors, save_search

        vectors = read_vectors(run, short_clip_hash(clip_hash))
        dataset = open_dataset(run, progress=progress).dataset
        return save_search(dataset, vectors, words, vector, limit)


def save_review(
    output: str | Path, *, user: str | None = None, progress: bool = False
) -> "SaveReport":
    """Write what people did in the App into the run folder; a second time changes nothing.

    Args:
        output: the run folder.
        user: name of the person, for the journal.
        progress: show a bar on stderr.

    Returns:
        What was changed in each image.

    Example:
        >>> len(frozenseg_label.save_review("labels").images)  # doctest: +SKIP
        3
    """
    from frozenseg_label.review.app.database import connected
    from frozenseg_label.runs.opening import refuse_no_run

    refuse_no_run(Path(output))
    with connected():
        from frozenseg_label.review.app.save_corrections import save_corrections

        return save_corrections(Path(output), user=user, progress=progress)


def fiftyone_writer() -> "Callable[[Path, Vocabulary, Iterable[ExportImage]], None]":
    """Return what writes labels as a dataset of FiftyOne: the `writer` of `export_labels`.

    ReviewError: FiftyOne has no database here.

    Returns:
        A function of the export's folder, the vocabulary and the images.

    Example:
        >>> frozenseg_label.export_labels(  # doctest: +SKIP
        ...     "labels", "dataset", "fiftyone", writer=frozenseg_label.fiftyone_writer()
        ... )
    """
    from frozenseg_label.review.app.database import require_database

    require_database("a dataset of FiftyOne")
    from frozenseg_label.review.app.fiftyone_export import write_fiftyone

    return write_fiftyone


def review_page(output: str | Path, folder: str | Path) -> "QueuePage":
    """Write a static page of the labels, most doubtful first; needs no FiftyOne.

    Args:
        output: the run folder.
        folder: of the page; new, empty, or an earlier page.

    Returns:
        Where the page is, and how many of its images have no picture.

    Example:
        >>> frozenseg_label.review_page("labels", "labels-page").images
        2
    """
    from frozenseg_label.review.queue.queue_page import write_queue_page
    from frozenseg_label.runs.run_reader import RunReader

    with RunReader.read(Path(output)) as run:
        return write_queue_page(run, Path(folder))


def queue_csv(output: str | Path, path: str | Path) -> int:
    """Write the review queue as CSV, without FiftyOne.

    Args:
        output: the run folder.
        path: of the CSV file.

    Returns:
        The number of images.

    Example:
        >>> frozenseg_label.queue_csv("labels", "queue.csv")
        2
    """
    from frozenseg_label.review.queue.queue_csv import write_queue
    from frozenseg_label.review.queue.review_queue import ReviewQueue
    from frozenseg_label.runs.run_reader import RunReader

    with RunReader.read(Path(output)) as run:
        queue = ReviewQueue(run)
        write_queue(Path(path), queue, run.vocabulary)
    return len(queue)
