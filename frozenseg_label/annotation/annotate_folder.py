"""The `annotate` job: find the images to label, label them, and write down how it was made.

Heavy imports stay inside the functions: the command line reads its defaults here, and a run that
has nothing to do answers without torch.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.annotation.annotate_job import (
    AnnotateJob,
    Engine,
    Format,
    engine_options,
    sources_of,
)
from frozenseg_label.annotation.annotate_summary import (
    AnnotateSummary,
    MadeWith,
    failures_of,
    paths_in,
    read_failures,
)
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.tiling import Tile
from frozenseg_label.model.precision import Precision
from frozenseg_label.part import Part

if TYPE_CHECKING:
    from frozenseg_label.errors import ImageError
    from frozenseg_label.images import ImageRecord
    from frozenseg_label.runs.manifest import Manifest
    from frozenseg_label.runs.plan import Plan
    from frozenseg_label.runs.run_folder import RunFolder
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)


def annotate(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    vocabulary: "str | Path | Vocabulary",
    *,
    missing_ok: bool = False,
    weights: str | Path = "nano",
    formats: Sequence[Format] = (),
    semantic: bool = False,
    sam_masks: bool = False,
    keep_proposals: bool = False,
    min_score: float = 0.0,
    memory: Sequence[str | Path] = (),
    tile: Tile | None = None,
    overlap: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    batch_size: int = 1,
    max_pixels: int = 178_956_970,
    limit: int | None = None,
    shard: str | None = None,
    checksum: bool = False,
    update: bool = False,
    max_failure_rate: float = 1.0,
    dry_run: bool = False,
    engine: Engine = "local",
    ray_address: str | None = None,
    ray_actors: int | None = None,
    ray_gpus: float | None = None,
    progress: bool = False,
) -> AnnotateSummary:
    """Label images into a run folder; what is already there is kept, so a stopped run goes on.

    ValueError, before anything is written, where an argument is out of its range.

    Args:
        images: folders (searched recursively) or files, on this machine or at addresses such as
            `s3://bucket/photos`.
        output: the run folder; made when missing.
        vocabulary: a YAML or text file, the name of a shipped one, or a Vocabulary.
        missing_ok: a missing file counts as a failed image, and the run goes on; else an error.
        weights: a name of `frozenseg-label weights list`, or a checkpoint file.
        formats: what to write beside COCO panoptic.
        semantic: write semantic maps too, by the published SAM ensemble where `sam_masks` is given.
        sam_masks: add SAM's masks as proposals for classes that the weights have not seen.
        keep_proposals: keep in `kept/` what `relabel` needs, 4 MB an image at most.
        min_score: segments whose class is less probable stay unlabelled, 0..1.
        memory: run folders; what people corrected there helps to name what looks like it.
        tile: side in pixels of the tiles that larger images are seen in at full resolution; auto:
            the model's own, for images that it would shrink more than four times.
        overlap: pixels that tiles share with their neighbours; None: an eighth of the side.
        device: cpu, cuda, cuda:1 or mps; auto is cuda where there is one, else cpu.
        precision: of encoders and decoder; auto is bf16 on CUDA and on CPUs that are faster with
            it, else fp32.
        batch_size: images of one padded size that go through the model together.
        max_pixels: larger images are reported as failed; by default what Pillow takes for a bomb.
        limit: label only the first N images.
        shard: label only a part of the images, such as `2/5`, dealt out by the hash of their names;
            `merge_runs` joins the run folders of all parts.
        checksum: detect changed images by their hash, not by size and time of change.
        update: allow other weights, words or options here; replaces proposed segments only.
        max_failure_rate: stop with an error once a larger share of the images has failed, 0..1.
        dry_run: write nothing, but time a few images and say what would be done.
        engine: local labels on this machine; ray on a cluster of Ray, whose machines see images and
            output at the same paths.
        ray_address: of the cluster; None is the one in RAY_ADDRESS, else one started here.
        ray_actors: workers, each with a model; None fills the cluster: one for each GPU, or where
            there are none one for each machine.
        ray_gpus: of each worker, 0..1; 0.5 lets two share one. None is 1 where there are GPUs.
        progress: show a progress bar on stderr.

    Returns:
        How many images were labelled, skipped and failed, and what was written where.

    Example:
        >>> summary = frozenseg_label.annotate("pictures", "labels", "stickers")
        >>> summary.labelled, summary.failed
        (2, 0)
    """
    from frozenseg_label.addresses import refuse_address
    from frozenseg_label.errors import RunError
    from frozenseg_label.vocabulary_files import given_vocabulary

    refuse_address(output, RunError)
    words = given_vocabulary(vocabulary)
    spec = PredictorSpec(
        weights, words, device, precision, min_score, sam_masks, semantic, keep_proposals,
        tile=tile, overlap=overlap,
    )  # fmt: skip
    memory = [memory] if isinstance(memory, str | Path) else memory
    if memory:
        from frozenseg_label.annotation.remember import remembering

        spec = remembering(spec, memory)
    job = AnnotateJob(
        sources=sources_of(images),
        missing_ok=missing_ok,
        output=Path(output),
        formats=formats,
        batch_size=batch_size,
        max_pixels=max_pixels,
        limit=limit,
        shard=None if shard is None else Part.parse(shard),
        checksum=checksum,
        update=update,
        max_failure_rate=max_failure_rate,
        memory=memory,
        ray=engine_options(engine, ray_address, ray_actors, ray_gpus),
    )
    manifest = job.manifest(spec, words.name if vocabulary is words else str(vocabulary))
    return _estimate(job, spec, manifest) if dry_run else _label(job, spec, manifest, progress)


def _label(
    job: AnnotateJob, spec: PredictorSpec, manifest: "Manifest", progress: bool
) -> AnnotateSummary:
    """Label what is to do; the model is loaded only where an image needs it."""
    from frozenseg_label.annotation.progress import announce, doubts
    from frozenseg_label.runs.run_folder import RunFolder

    started = time.monotonic()
    records = job.find_images()
    manifest = manifest.model_copy(update={"warnings": doubts(records, spec.weights)})
    opened = RunFolder.open_or_create(
        job.output, manifest, update=job.update, formats=job.formats, semantic=spec.semantic
    )
    with opened as run:
        plan = run.plan(records, checksum=job.checksum, kept=spec.keep_proposals)
        announce(plan, run.manifest)
        try:
            _label_planned(plan, job, spec, run, progress)
        finally:
            summary = run.finish()  # also when interrupted: what was labelled is a whole run folder
    return AnnotateSummary(
        output=job.output,
        made_with=MadeWith.of(manifest),
        labelled=summary.labelled,
        skipped=summary.skipped,
        failed=summary.failed,
        missing_images=run.manifest.missing_images,
        segments={name: total.segments for name, total in summary.totals.classes.items()},
        seconds=time.monotonic() - started,
        warnings=manifest.warnings,
        paths=paths_in(job.output),
        failures=read_failures(job.output),
    )


def _label_planned(
    plan: "Plan",
    job: AnnotateJob,
    spec: PredictorSpec,
    run: "RunFolder",
    progress: bool,
) -> None:
    """Label the images of a plan."""
    from frozenseg_label.annotation.progress import shown_progress

    unreadable = dict(_still_unreadable(plan, job.max_pixels))
    todo = [record for record in plan.todo if record not in unreadable]
    if todo:
        spec.warn_of_unknown_words()
        log.info("loading %s", spec.weights)
    label = _engine(job, spec, run) if todo else None  # before the bar, whose rate is of images
    with shown_progress(plan, job.max_failure_rate, progress) as on_finished:
        for record, error in unreadable.items():
            run.fail(record, f"{error}")
            on_finished(error)
        if label is not None:
            label(todo, on_finished=on_finished)


def _engine(job: AnnotateJob, spec: PredictorSpec, run: "RunFolder") -> Callable[..., None]:
    """Return the function that labels images and calls `on_finished` after each."""
    batch_size, most = job.batch_size, job.max_pixels
    if job.ray is not None:
        from frozenseg_label.annotation.ray_engine import label_on_ray

        return partial(
            label_on_ray,
            spec=spec,
            run=run,
            options=job.ray,
            batch_size=batch_size,
            max_pixels=most,
        )
    from frozenseg_label.annotation.label_images import label_images

    predictor = spec.load()
    run.note_precision(predictor.precision)
    return partial(
        label_images, predictor=predictor, run=run, batch_size=batch_size, max_pixels=most
    )


def _estimate(job: AnnotateJob, spec: PredictorSpec, manifest: "Manifest") -> AnnotateSummary:
    """Say what a run would do; time a few images, write nothing."""
    from frozenseg_label.annotation.progress import doubts
    from frozenseg_label.runs.run_folder import RunFolder

    records = job.find_images()
    with RunFolder.preview(job.output, manifest, update=job.update, semantic=spec.semantic) as run:
        plan = run.plan(records, checksum=job.checksum, kept=spec.keep_proposals)
        missing_images = run.manifest.missing_images
    unreadable = dict(_still_unreadable(plan, job.max_pixels))
    todo = [record for record in plan.todo if record not in unreadable]
    warnings, guess = doubts(records, spec.weights), None
    if todo:
        from frozenseg_label.annotation.dry_run import estimate

        spec.warn_of_unknown_words()
        guess = estimate(todo, spec.load(), job.output, job.max_pixels, job.batch_size)
    return AnnotateSummary(
        job.output, MadeWith.of(manifest), 0, len(plan.done), len(unreadable), missing_images,
        warnings=warnings, failures=failures_of(unreadable.items()), estimate=guess,
    )  # fmt: skip


def _still_unreadable(
    plan: "Plan", max_pixels: int
) -> Iterator[tuple["ImageRecord", "ImageError"]]:
    """Yield the images that failed last time and still cannot be read: they need no model."""
    from frozenseg_label.decoding import decode_image
    from frozenseg_label.errors import ImageError

    for record in plan.failed:
        try:
            decode_image(record, max_pixels)
        except ImageError as error:
            # Another one: by its traceback, the error that was raised keeps the file's content.
            yield record, ImageError(f"{error}")
