"""Labels written while the model works: staged in several threads, committed in order by one."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, Self, Unpack

from frozenseg_label.errors import ImageError
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.staging import LabelFacts, StagedLabels, WriteOrder

# Threads that pack label maps; zlib lets the interpreter go meanwhile. Each holds a map in memory.
MOST_ENCODERS = 4
MOST_BATCHES_WAITING = 2  # to be written; their maps are as large as the photographs

Stage = Callable[[WriteOrder], StagedLabels]
OnWritten = Callable[[ImageRecord, ImageError | None], None]


class Desk(Protocol):
    """Where labels go: a run folder, or, for the worker of another program, one to stage in.

    `order` is called in one thread, `stage` in several ones.
    """

    def order(self, record: ImageRecord) -> WriteOrder:
        """Return what `stage` must know of an image."""

    def stage(
        self, order: WriteOrder, panoptic_map: PanopticMap, **facts: Unpack[LabelFacts]
    ) -> StagedLabels:
        """Write the files of an image; ImageError where only this image cannot be written."""

    def accept(self, staged: StagedLabels) -> None:
        """Commit what was staged."""

    def fail(self, record: ImageRecord, message: str) -> None:
        """Write down that an image could not be labelled."""


def encoders() -> int:
    """Return how many threads pack label maps."""
    return min(MOST_ENCODERS, os.cpu_count() or 1)


def most_waiting(batch_size: int) -> int:
    """Return how many images may wait to be written: some batches, but work for every encoder."""
    return max(MOST_BATCHES_WAITING * batch_size, encoders())


class WriteBehind:
    """Writes images in other threads; rows come in the order in which images were given.

    At the end of the block all that was given is written, also where the block raises an error.

    Args:
        run: where the labels go.
        on_written: called by `finish`, in its thread, once an image's row is in the journal, with
            the error if it failed; it may raise to stop the run.
    """

    def __init__(self, run: Desk, on_written: OnWritten) -> None:
        self._run, self._on_written = run, on_written
        self._encoders, self._committer = ThreadPoolExecutor(encoders()), ThreadPoolExecutor(1)
        self._waiting: deque[tuple[ImageRecord, Future[ImageError | None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._committer.shutdown()  # first: it waits for what the encoders do
        self._encoders.shutdown()

    def write(self, record: ImageRecord, stage: Stage) -> None:
        """Write the labels of an image.

        Args:
            record: the image.
            stage: writes its files, in another thread; ImageError where that cannot be done.
        """
        staging = self._encoders.submit(stage, self._run.order(record))
        self._waiting.append((record, self._committer.submit(self._commit, record, staging)))

    def fail(self, record: ImageRecord, message: str) -> None:
        """Write down that an image could not be labelled."""
        self._waiting.append((record, self._committer.submit(self._fail, record, message)))

    def finish(self, most_left: int) -> None:
        """Wait until at most so many images are not written yet."""
        while self._waiting and (len(self._waiting) > most_left or self._waiting[0][1].done()):
            record, writing = self._waiting.popleft()
            self._on_written(record, writing.result())

    def _commit(self, record: ImageRecord, staging: Future[StagedLabels]) -> ImageError | None:
        """Commit what an encoder stages; return the error where it cannot write this image."""
        try:
            self._run.accept(staging.result())
        except ImageError as error:
            return self._fail(record, f"{error}")
        return None

    def _fail(self, record: ImageRecord, message: str) -> ImageError:
        self._run.fail(record, message)
        return ImageError(message)
