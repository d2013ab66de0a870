"""The `annotate` job: find what is to do, label it, and write down how it was made.

Heavy imports stay inside the functions: the command line reads its defaults here, and a run that
has nothing to do answers without torch.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.annotation.annotate_arguments import Format, Precision, check_arguments

if TYPE_CHECKING:
    from pydantic import JsonValue

    from frozenseg_label.annotation.dry_run import Estimate
    from frozenseg_label.errors import ImageError
    from frozenseg_label.images import ImageRecord
    from frozenseg_label.inference.predictor import Predictor
    from frozenseg_label.runs.manifest import Manifest
    from frozenseg_label.runs.plan import Plan
    from frozenseg_label.runs.run_folder import RunFolder
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)

LIBRARIES = ("torch", "open_clip_torch", "numpy")  # labels may depend on their versions


@dataclass(frozen=True)
class AnnotateSummary:
    """What one call of `annotate` did, or, in a dry run, would do.

    Attributes:
        output: the run folder.
        labelled, skipped, failed: images; skipped ones were labelled before.
        segments: number of segments of each class that occurs in the whole run folder.
        seconds: time spent.
        estimate: of a dry run that found something to do; None otherwise.
    """

    output: Path
    labelled: int
    skipped: int
    failed: int
    segments: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    estimate: "Estimate | None" = None


def annotate(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    vocabulary: "str | Path | Vocabulary",
    *,
    weights: str | Path = "nano",
    formats: Sequence[Format] = (),
    semantic: bool = False,
    sam_masks: bool = False,
    min_score: float = 0.0,
    device: str = "auto",
    precision: Precision = "auto",
    batch_size: int = 1,
    max_pixels: int = 178_956_970,
    limit: int | None = None,
    checksum: bool = False,
    update: bool = False,
    max_failure_rate: float = 1.0,
    dry_run: bool = False,
    progress: bool = False,
) -> AnnotateSummary:
    """Label images into a run folder; what is already there is kept, so a stopped run goes on.

    Args:
        images: folders (searched recursively) or files.
        output: the run folder; made when missing.
        vocabulary: a YAML or text file, the name of a shipped one, or a Vocabulary.
        weights: a name of `frozenseg-label weights list`, or a checkpoint of ours.
        formats: what to write beside COCO panoptic.
        semantic: write semantic maps too, by the published SAM ensemble where `sam_masks` is given.
        sam_masks: add SAM's masks as proposals for classes that the weights have not seen.
        min_score: segments whose class is less probable stay unlabelled, 0..1.
        device: cpu, cuda, cuda:1 or mps; auto is cuda where there is one, else cpu.
        precision: of encoders and decoder; auto is bf16 on CUDA, else fp32.
        batch_size: images of one shape that go through the model together.
        max_pixels: larger images are reported as failed; from the default on, Pillow suspects a
            decompression bomb.
        limit: look at the first so many images only.
        checksum: know images by their content, not by size and time of change.
        update: allow other weights, words or options on this folder; proposed segments are
            replaced, nothing else.
        max_failure_rate: stop with an error once a larger share of the images has failed, 0..1.
        dry_run: write nothing, but time a few images and say what would be done.
        progress: show a progress bar on stderr.

    Raises:
        ValueError: an argument is out of its range; nothing has been written then.
    """
    check_arguments(
        formats=formats,
        precision=precision,
        shares={"min_score": min_score, "max_failure_rate": max_failure_rate},
        counts={"batch_size": batch_size, "max_pixels": max_pixels, "limit": limit},
    )
    from frozenseg_label.annotation.progress import shown_progress
    from frozenseg_label.images import find_images
    from frozenseg_label.runs.run_folder import RunFolder

    started = time.monotonic()
    folder, words, sources = Path(output), _vocabulary(vocabulary), _sources(images)
    options: dict[str, JsonValue] = {
        "min_score": min_score,
        "sam_masks": sam_masks,
        "semantic": semantic,
    }
    arguments: dict[str, JsonValue] = {
        "images": [str(source) for source in sources],
        "vocabulary": words.name if vocabulary is words else str(vocabulary),
        "device": device,
        "precision": precision,
        "batch_size": batch_size,
        "max_pixels": max_pixels,
        "limit": limit,
        "formats": list(formats),
        "checksum": checksum,
        "update": update,
        "max_failure_rate": max_failure_rate,
        **options,
    }
    manifest = _manifest(words, weights, arguments, options)
    records = find_images(sources)[:limit]

    def load() -> "Predictor":
        from frozenseg_label.inference.load_predictor import load_predictor

        predictor = load_predictor(
            weights,
            words,
            device=device,
            precision=precision,
            min_score=min_score,
            sam_masks=sam_masks,
            semantic=semantic,
        )
        log.debug("device %s, %s", predictor.device, "bf16" if predictor.bf16 else "fp32")
        return predictor

    if dry_run:
        with RunFolder.preview(folder, manifest, update=update, semantic=semantic) as run:
            plan = run.plan(records, checksum=checksum)
        return _estimate(plan, load, folder, max_pixels)

    opened = RunFolder.open_or_create(
        folder, manifest, update=update, formats=formats, semantic=semantic
    )
    with opened as run:
        plan = run.plan(records, checksum=checksum)
        log.info("%s", _announcement(plan))
        try:
            with shown_progress(plan, max_failure_rate, progress) as on_finished:
                _label(
                    plan,
                    load,
                    run,
                    batch_size=batch_size,
                    max_pixels=max_pixels,
                    on_finished=on_finished,
                )
        finally:
            summary = run.finish()  # also when interrupted: what was labelled is a whole run folder
    return AnnotateSummary(
        output=folder,
        labelled=summary.labelled,
        skipped=summary.skipped,
        failed=summary.failed,
        segments={name: total.segments for name, total in summary.totals.classes.items()},
        seconds=time.monotonic() - started,
    )


def _label(
    plan: "Plan",
    load: Callable[[], "Predictor"],
    run: "RunFolder",
    *,
    batch_size: int,
    max_pixels: int,
    on_finished: Callable[["ImageError | None"], None],
) -> None:
    """Label what is to do with the local engine; the model is loaded where it is needed alone."""

    def on_still_unreadable(record: "ImageRecord", error: "ImageError") -> None:
        run.fail(record, str(error))
        on_finished(error)

    todo = _worth_a_model(plan, max_pixels, on_still_unreadable)
    if not todo:
        return
    from frozenseg_label.annotation.local_engine import annotate_overlapped

    annotate_overlapped(
        todo,
        load(),
        run,
        batch_size=batch_size,
        max_pixels=max_pixels,
        on_finished=on_finished,
    )


def _estimate(
    plan: "Plan", load: Callable[[], "Predictor"], folder: Path, max_pixels: int
) -> AnnotateSummary:
    """Say what a run would do; times a few images."""
    failed: list[ImageError] = []
    todo = _worth_a_model(plan, max_pixels, lambda record, error: failed.append(error))
    guess = None
    if todo:
        from frozenseg_label.annotation.dry_run import estimate

        guess = estimate(todo, load(), folder, max_pixels)
    return AnnotateSummary(folder, 0, len(plan.done), len(failed), estimate=guess)


def _worth_a_model(
    plan: "Plan",
    max_pixels: int,
    on_still_unreadable: Callable[["ImageRecord", "ImageError"], None],
) -> list["ImageRecord"]:
    """Return what is to do but for images that could not be read last time, nor can be now."""
    from frozenseg_label.errors import ImageError
    from frozenseg_label.images import decode_image

    unreadable = set()
    for record in plan.failed:
        try:
            decode_image(record, max_pixels)
        except ImageError as error:
            on_still_unreadable(record, error)
            unreadable.add(record)
    return [record for record in plan.todo if record not in unreadable]


def _manifest(
    words: "Vocabulary",
    weights: str | Path,
    arguments: Mapping[str, "JsonValue"],
    options: Mapping[str, "JsonValue"],
) -> "Manifest":
    """Say with what the labels are going to be made; reads the weights' header alone."""
    from frozenseg_label.checkpoints.header import read_checkpoint_info
    from frozenseg_label.checkpoints.named_weights import find_weights
    from frozenseg_label.runs.manifest import Manifest
    from frozenseg_label.version import __version__

    info = read_checkpoint_info(find_weights(weights))
    log.debug("weights %s, fingerprint %s", weights, info.fingerprint)
    log.debug("vocabulary %s, %d classes", words.name, len(words.categories))
    return Manifest.of(
        tool_version=__version__,
        arguments=arguments,
        weights=str(weights),
        weights_fingerprint=info.fingerprint,
        vocabulary=words,
        seen_names=info.seen_names,
        options=options,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    """Python's and the libraries' versions, without importing a library."""
    from importlib.metadata import version
    from platform import python_version

    return {"python": python_version(), **{name: version(name) for name in LIBRARIES}}


def _announcement(plan: "Plan") -> str:
    """Say how much there is to do, and why."""
    if not plan.todo:
        return f"{len(plan.done)} images, all labelled already: nothing to do"
    why = ", ".join(f"{count} {reason}" for reason, count in plan.reasons.items())
    return f"{len(plan.done) + len(plan.todo)} images, {len(plan.todo)} to label ({why})"


def _vocabulary(source: "str | Path | Vocabulary") -> "Vocabulary":
    from frozenseg_label.vocabulary import Vocabulary, read_vocabulary

    return source if isinstance(source, Vocabulary) else read_vocabulary(source)


def _sources(images: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(images)] if isinstance(images, str | Path) else [Path(image) for image in images]
