"""One image's way from kept proposals to labels: read, name, write."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from frozenseg_label.annotation.label_images import LabelledImage, stage
from frozenseg_label.annotation.read_ahead import read_ahead
from frozenseg_label.annotation.write_behind import WriteBehind
from frozenseg_label.errors import FormatError, ImageError
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.image_proposals import ImageProposals
from frozenseg_label.inference.kept_proposals import decode_proposals
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.run_reader import RunReader

AHEAD = 2  # images that are read while another one is named; their masks are large
MOST_WAITING = 4  # to be written


def relabel_images(
    records: Iterable[ImageRecord],
    predictor: Predictor,
    run: RunFolder,
    on_finished: Callable[[ImageRecord, ImageError | None], None],
) -> None:
    """Name images anew; return when every one is on disk that can be.

    Args:
        records: the images.
        predictor: with the new words; it needs no encoders.
        run: with kept proposals.
        on_finished: called in this thread once an image's row is in the journal, or with the error
            where it keeps its old labels; it may raise to stop the run.
    """

    def load_one(record: ImageRecord) -> tuple[ImageRecord, ImageProposals]:
        return record, load_proposals(record.relative, predictor, run)

    def on_failed(record: ImageRecord, message: str) -> None:
        on_finished(record, ImageError(message))

    with ThreadPoolExecutor(AHEAD) as readers, WriteBehind(run, on_finished) as writes:
        for record, proposals in read_ahead(records, load_one, readers, AHEAD, on_failed):
            start = time.perf_counter()
            try:
                prediction = predictor.name_proposals(proposals)
            except FloatingPointError as error:
                on_failed(record, f"{record.path}: {error}")
                continue
            seconds = time.perf_counter() - start
            image = LabelledImage(record, "", prediction, predictor.clip, predictor.source, seconds)
            writes.write(record, partial(stage, image=image, run=run, event="relabelled"))
            writes.finish(MOST_WAITING)
        writes.finish(0)


def load_proposals(image: str, predictor: Predictor, run: RunReader) -> ImageProposals:
    """Return the kept proposals of an image of a run; ImageError where they are no use.

    Args:
        image: its name in the run.
        predictor: that shall name them.
        run: the run folder.
    """
    entry = run.entry(image)
    if entry is None:
        raise ImageError(f"{run.path} has no labels of an image {image!r}")
    try:
        content = run.read_kept(entry)
        proposals = decode_proposals(content, image, predictor.source, predictor.device)
    except FormatError as error:
        raise ImageError(f"{error}") from None
    if predictor.sam_masks and proposals.sam is None:
        raise ImageError(
            f"{image}: its proposals are kept without SAM's masks; label it with --keep-proposals "
            "and --sam-masks"
        )
    return proposals
