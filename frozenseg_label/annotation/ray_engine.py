"""The engine of many machines: Ray Data deals the images out to workers, which stage the labels.

Each worker holds the model and calls `label_images`, the same steps as on one machine. Files go to
the run folder, on a file system that all machines share; rows come to this program, which commits
them. A worker that dies gives its images to another one; what it had staged is overwritten, or
removed when the run folder is opened next.
"""

import logging
import math
import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from frozenseg_label.annotation.annotate_job import RayOptions
from frozenseg_label.annotation.ray_cluster import Workers, fitting_workers, joined_cluster
from frozenseg_label.annotation.ray_worker import Report, Work, Worker
from frozenseg_label.errors import ImageError, RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.runs.layout import staged_path
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.staging import StagedLabels, UnstagedImage

MOST_IMAGES = 16  # of one task: what a worker that dies has done for nothing
TASKS_AHEAD = 2  # of each worker, so that none waits for this program
WINDOW = 500_000  # images whose names Ray holds at once
MOST_FALSE_STARTS = 10  # of workers, one after the other
MOST_WARNINGS = 100  # that are repeated here

OnFinished = Callable[[ImageError | None], None]

log = logging.getLogger(__name__)


def label_on_ray(
    records: Sequence[ImageRecord],
    spec: PredictorSpec,
    run: RunFolder,
    options: RayOptions,
    *,
    batch_size: int,
    max_pixels: int | None,
    on_finished: OnFinished,
) -> None:
    """Label images on a cluster; arguments as of `label_images`, which each worker calls.

    RunError: the cluster, or a worker, cannot do it.
    """
    on_cpu = replace(spec, device="cpu", precision="fp32")
    path = Path(spec.weights)
    work = Work(
        spec=replace(spec, weights=path.absolute()) if path.is_file() else spec,
        names=on_cpu.load(encoders=False).names,
        folder=run.path.absolute(),
        run=run.manifest.fingerprint,
        batch_size=batch_size,
        max_pixels=max_pixels,
    )
    with joined_cluster(options.address):
        workers = fitting_workers(options, spec.device)
        log.info("%d workers, each with %g cores and %g GPU", *vars(workers).values())
        driver = _Driver(run, work, workers, on_finished)
        for window in _cut(records, WINDOW):
            driver.label(window)


class _Driver:
    """Commits what workers have staged; its work per image does not depend on the image's size."""

    def __init__(
        self, run: RunFolder, work: Work, workers: Workers, on_finished: OnFinished
    ) -> None:
        self._run, self._work, self._workers = run, work, workers
        self._on_finished = on_finished
        self._machines: set[str] = set()
        self._warnings: set[str] = set()

    def label(self, records: Sequence[ImageRecord]) -> None:
        """Label some images; those that no worker survives become failures."""
        size = math.ceil(len(records) / (2 * TASKS_AHEAD * self._workers.count))
        size = max(self._work.batch_size, min(size, MOST_IMAGES))
        # A worker that dies takes the other images of its task with it: singly, these are saved.
        for images in (size, 1):
            if records:
                records = self._label_in_tasks(records, images)
        for record in records:
            message = f"{record.path}: every worker that labelled it died; see Ray's own logs"
            self._run.fail(record, message)
            self._on_finished(ImageError(message))

    def _label_in_tasks(self, records: Sequence[ImageRecord], size: int) -> list[ImageRecord]:
        """Label images, `size` of them in a task; return those of which nobody reported."""
        waiting = {record.relative: record for record in records}
        tasks = (
            [pickle.dumps(self._run.order(record)) for record in images]
            for images in _cut(records, size)
        )
        with closing(_reports(tasks, size, self._work, self._workers)) as reports:
            for report in reports:
                self._check(report)
                for outcome in report.outcomes:
                    self._take(outcome, waiting)
        return list(waiting.values())

    def _take(self, outcome: StagedLabels | UnstagedImage, waiting: dict[str, ImageRecord]) -> None:
        """Commit one image, unless a worker that was thought to be dead had reported it, too."""
        if waiting.pop(outcome.image, None) is None:
            return
        if isinstance(outcome, StagedLabels):
            self._run.accept(outcome)
            self._on_finished(None)
        else:
            self._run.fail(outcome.record, outcome.message)
            self._on_finished(ImageError(outcome.message))

    def _check(self, report: Report) -> None:
        """Raise RunError where a worker cannot work, or where its files are not seen here."""
        for warning in report.warnings:
            if warning not in self._warnings and len(self._warnings) < MOST_WARNINGS:
                self._warnings.add(warning)
                log.warning("%s: %s", report.machine, warning)
        if report.problem:
            raise RunError(f"the worker on {report.machine}: {report.problem}")
        self._run.note_precision(report.precision)
        if report.machine in self._machines:
            return
        self._machines.add(report.machine)
        for outcome in report.outcomes:
            for file, sha256 in outcome.files.items() if isinstance(outcome, StagedLabels) else ():
                if not staged_path(self._run.path, file, sha256).exists():
                    raise RunError(
                        f"{self._run.path}: what {report.machine} writes there is not seen here; "
                        "name a run folder on a file system that all machines share"
                    )


def _cut(records: Sequence[ImageRecord], size: int) -> Iterator[Sequence[ImageRecord]]:
    """Yield the images in pieces of `size`, of which the last one may be shorter."""
    return (records[start : start + size] for start in range(0, len(records), size))


def _reports(
    tasks: Iterator[list[bytes]], size: int, work: Work, workers: Workers
) -> Generator[Report, None, None]:
    """Yield reports of workers, in the order in which they come.

    Args:
        tasks: images of each, as pickled `WriteOrder`s.
        size: images of a task; the last one may have fewer.
    """
    import pyarrow
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    blocks = [ray.put(pyarrow.table({"order": orders})) for orders in tasks]
    images = ray.data.from_arrow_refs(blocks)  # type: ignore[arg-type]
    del blocks  # Ray drops those that are done
    context = images.context
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = MOST_FALSE_STARTS
    context.execution_no_progress_timeout_s = -1  # a task may take hours on a slow machine
    reports = images.map_batches(
        Worker,
        fn_constructor_args=(work,),
        batch_size=size,  # a block for each: Ray joins smaller ones
        batch_format="pyarrow",
        num_cpus=workers.cpus,
        num_gpus=workers.gpus,
        compute=ray.data.ActorPoolStrategy(
            size=workers.count, max_tasks_in_flight_per_actor=TASKS_AHEAD
        ),
    )
    try:
        for batch in reports.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            yield from (pickle.loads(cell.as_py()) for cell in batch["report"])
    except ray.exceptions.RayTaskError:
        raise  # an error of this program
    except ray.exceptions.RayError as error:
        reason = f"{error}".strip().splitlines()[0]
        raise RunError(f"Ray gave up ({reason}); give the same command again") from error
