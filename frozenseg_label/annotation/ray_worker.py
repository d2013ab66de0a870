"""A worker of the Ray engine: it holds the model, labels images and stages their files."""

import hashlib
import logging
import os
import pickle
import socket
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozenseg_label.annotation.label_images import label_images
from frozenseg_label.errors import FrozenSegLabelError, RunError
from frozenseg_label.files import PREFIX, TEMPORARY_SUFFIX, explained
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.runs.staging import LabelStager, StagedLabels, StagingFolder, UnstagedImage
from frozenseg_label.version import __version__

if TYPE_CHECKING:
    import pyarrow

MOST_ATTEMPTS = 2  # at one task: who dies there takes the task's other images with it


@dataclass(frozen=True)
class Work:
    """What every worker must know.

    Attributes:
        spec: makes the predictor.
        names: the vocabulary's vectors, made once for all workers.
        folder: of the run, on a file system that all machines share.
        run: its fingerprint.
        batch_size, max_pixels: as of `label_images`.
        version: of this program.
    """

    spec: PredictorSpec
    names: TextClassifier
    folder: Path
    run: str
    batch_size: int
    max_pixels: int | None
    version: str = __version__


@dataclass(frozen=True)
class Report:
    """What a worker says of one task.

    Attributes:
        machine: where the worker is.
        outcomes: what has become of the images.
        warnings: what it had to say.
        problem: why it cannot go on; empty: it can.
        precision: in which its model computes, bf16 or fp32; empty: it has none.
    """

    machine: str
    outcomes: Sequence[StagedLabels | UnstagedImage]
    warnings: Sequence[str]
    problem: str
    precision: str


class Worker:
    """One process of the cluster, with the model: it labels images and stages their files."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._warnings: list[str] = []
        logging.getLogger("frozenseg_label").addHandler(_Collector(self._warnings))
        self._precision = ""
        self._problem = _told(self._open)

    def __call__(self, table: "pyarrow.Table") -> dict[str, Any]:
        """Label the images of a task and report."""
        orders = [pickle.loads(cell.as_py()) for cell in table["order"]]
        desk: StagingFolder | None = None
        problem = self._problem
        if not problem:
            desk = StagingFolder(self._stager, orders)
            problem = _told(partial(self._label, desk, [order.record for order in orders]))
        outcomes = desk.outcomes if desk is not None else ()
        report = Report(
            socket.gethostname(), outcomes, tuple(self._warnings), problem, self._precision
        )
        self._warnings.clear()
        return {"report": [pickle.dumps(report)]}

    def _label(self, desk: StagingFolder, records: Sequence[ImageRecord]) -> None:
        """Label the images of a task, unless it killed too many workers: then report none."""
        names = "\0".join(record.relative for record in records)
        key = hashlib.sha256(os.fsencode(names)).hexdigest()[:32]
        # Ray would try for ever. A byte for each worker that has begun; a folder's next opening
        # removes the file if nobody else does.
        attempts = self._work.folder / f"{PREFIX}{key}{TEMPORARY_SUFFIX}"
        with explained(attempts):
            with attempts.open("ab") as file:
                file.write(b".")
            if attempts.stat().st_size <= MOST_ATTEMPTS:
                label_images(
                    records,
                    self._predictor,
                    desk,
                    batch_size=self._work.batch_size,
                    max_pixels=self._work.max_pixels,
                    on_finished=lambda _: None,
                )
                self._stager.embeddings.sync()
                self._stager.extras.report_undrawn()
            attempts.unlink(missing_ok=True)

    def _open(self) -> None:
        """Load the model and look at the run folder."""
        work = self._work
        if work.version != __version__:
            raise RunError(f"frozenseg-label {__version__} is installed there, {work.version} here")
        self._stager = LabelStager.of_worker(work.folder, work.run)
        self._predictor = work.spec.load(names=work.names)
        self._precision = self._predictor.precision


def _told(act: Callable[[], None]) -> str:
    """Do something; return what went wrong, in words, since Ray would hide it in its own."""
    try:
        act()
    except FrozenSegLabelError as error:
        return f"{error}"
    except Exception:  # noqa: BLE001 - the program that reads the report stops with it
        return traceback.format_exc()
    return ""


class _Collector(logging.Handler):
    """Keeps the warnings of a worker for its report."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self._messages.append(record.getMessage())
