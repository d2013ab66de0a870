"""The `annotate` job: find what is to do, label it, and write down how it was made.

Heavy imports stay inside the functions: the command line reads its defaults here, and a run that
has nothing to do answers without torch.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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

FEWEST_BEFORE_GIVING_UP = 20  # images; the failure rate of fewer says little


@dataclass(frozen=True)
class AnnotateSummary:
    """What one call of `annotate` did, or, in a dry run, would do.

    Attributes:
        output: the run folder.
        labelled, skipped, failed: images; skipped ones were labelled before.
        segments: number of segments of each class that occurs in the whole run folder.
        seconds: time spent.
        estimate: of a dry run; None otherwise.
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
    formats: Sequence[Literal["class-png", "per-class-png"]] = (),
    semantic: bool = False,
    sam_masks: bool = False,
    min_score: float = 0.0,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
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
        device: auto, cpu, cuda, cuda:1 or mps.
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
    """
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
        "device": device,
        "precision": precision,
        "batch_size": batch_size,
        "max_pixels": max_pixels,
        "limit": limit,
        "formats": list(formats),
        **options,
    }
    manifest = _manifest(words, weights, arguments, options)
    records = find_images(sources)[:limit]

    def load() -> "Predictor":
        from frozenseg_label.inference.load_predictor import load_predictor

        return load_predictor(
            weights,
            words,
            device=device,
            precision=precision,
            min_score=min_score,
            sam_masks=sam_masks,
            semantic=semantic,
        )

    if dry_run:
        from frozenseg_label.annotation.dry_run import estimate, images_to_do

        todo = images_to_do(folder, manifest, records, update, checksum)
        guess = estimate(todo, load(), folder, max_pixels) if todo else None
        return AnnotateSummary(folder, 0, len(records) - len(todo), 0, estimate=guess)

    opened = RunFolder.open_or_create(
        folder, manifest, update=update, formats=formats, semantic=semantic
    )
    with opened as run:
        plan = run.plan(records, checksum=checksum)
        log.info("%s", _announcement(plan))
        try:
            if plan.todo:
                _label(
                    plan.todo,
                    load(),
                    run,
                    batch_size=batch_size,
                    max_pixels=max_pixels,
                    max_failure_rate=max_failure_rate,
                    progress=progress,
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
    records: Sequence["ImageRecord"],
    predictor: "Predictor",
    run: "RunFolder",
    *,
    batch_size: int,
    max_pixels: int,
    max_failure_rate: float,
    progress: bool,
) -> None:
    """Label images with the local engine; RunError once too many have failed."""
    from tqdm import tqdm

    from frozenseg_label.annotation.local_engine import annotate_overlapped
    from frozenseg_label.errors import RunError

    failures: list[ImageError] = []
    finished = 0
    # disable=None: no bar where stderr is no terminal
    with tqdm(total=len(records), unit="image", disable=None if progress else True) as bar:

        def on_finished(error: "ImageError | None") -> None:
            nonlocal finished
            finished += 1
            bar.update()
            if error is not None:
                failures.append(error)
                log.warning("failed: %s", error)
            enough = finished >= min(FEWEST_BEFORE_GIVING_UP, len(records))
            if enough and len(failures) > max_failure_rate * finished:
                raise RunError(
                    f"{len(failures)} of {finished} images failed, more than --max-failure-rate "
                    f"{max_failure_rate} allows; mend or remove them. The last one: {failures[-1]}"
                )

        annotate_overlapped(
            records,
            predictor,
            run,
            batch_size=batch_size,
            max_pixels=max_pixels,
            on_finished=on_finished,
        )


def _manifest(
    words: "Vocabulary",
    weights: str | Path,
    arguments: Mapping[str, "JsonValue"],
    options: Mapping[str, "JsonValue"],
) -> "Manifest":
    """Say with what the labels are going to be made; reads the weights' header alone."""
    from frozenseg_label import __version__
    from frozenseg_label.model.checkpoint_info import read_checkpoint_info
    from frozenseg_label.model.pretrained import find_weights
    from frozenseg_label.runs.manifest import Manifest

    info = read_checkpoint_info(find_weights(weights))
    return Manifest.of(
        tool_version=__version__,
        arguments=arguments,
        weights=str(weights),
        weights_fingerprint=info.fingerprint,
        vocabulary=words,
        seen_names=info.seen_names,
        options=options,
    )


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
