"""The `relabel` job: other words for a run whose proposals were kept; no picture is read.

Heavy imports stay inside the functions: the command line reads its defaults here, and a run that
is labelled so already answers without torch.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozenseg_label.annotation.annotate_summary import (
    FailedImage,
    MadeWith,
    failures_of,
    paths_in,
)
from frozenseg_label.inference.predictor_spec import PredictorSpec

if TYPE_CHECKING:
    from pydantic import JsonValue

    from frozenseg_label.errors import ImageError
    from frozenseg_label.images import ImageRecord
    from frozenseg_label.runs.manifest import Manifest
    from frozenseg_label.runs.run_folder import RunFolder
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RelabelSummary:
    """The result of one call of `relabel`.

    Attributes:
        output: the run folder.
        made_with: weights and vocabulary.
        relabelled: images that have labels by these words now, and had none before.
        skipped: images that had them already, or that a person has reviewed.
        lacking: images that keep their old labels, because no proposals of them are kept, or the
            file is damaged, or their last attempt failed.
        segments: number of segments of each class that occurs in the whole run folder.
        seconds: time spent.
        paths: files and folders of the run folder that are there, by their names.
        failures: the first of the lacking images, and why.
    """

    output: Path
    made_with: MadeWith
    relabelled: int
    skipped: int
    lacking: int
    segments: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    paths: dict[str, Path] = field(default_factory=dict)
    failures: tuple[FailedImage, ...] = ()


def relabel(
    run: str | Path,
    vocabulary: "str | Path | Vocabulary | None" = None,
    *,
    memory: Sequence[str | Path] = (),
    weights: str | Path | None = None,
    semantic: bool | None = None,
    sam_masks: bool | None = None,
    min_score: float | None = None,
    device: str = "auto",
    progress: bool = False,
) -> RelabelSummary:
    """Label the images of a run by other words, from what `annotate(keep_proposals=True)` kept.

    The labels are those of `annotate` with these words, but for rounding. Segments that a person
    owns stay. A stopped run goes on where it was; RunError where nothing is kept, or by others.

    Args:
        run: the run folder.
        vocabulary: a YAML or text file, the name of a shipped one, or a Vocabulary; None is that
            of the run.
        memory: run folders, this one may be among them; what people corrected there helps to name
            what looks like it.
        weights: name or file of the run's weights, of which only the text encoder is read; None is
            what the run was made with.
        semantic: write semantic maps too; None as in the run.
        sam_masks: use SAM's masks that were kept; None as in the run.
        min_score: segments whose class is less probable stay unlabelled, 0..1; None as in the run.
        device: cpu, cuda, cuda:1 or mps; auto is cuda where there is one, else cpu.
        progress: show a progress bar on stderr.

    Returns:
        How many images have new labels, and how many were left as they are.

    Example:
        >>> summary = frozenseg_label.relabel("labels", "kitchen.yaml")  # doctest: +SKIP
    """
    from frozenseg_label.vocabulary_files import given_vocabulary

    started, folder = time.monotonic(), Path(run)
    before = manifest_with_proposals(folder)
    if vocabulary is None:
        words, named = before.vocabulary.vocabulary(), before.arguments.get("vocabulary")
    else:
        words = given_vocabulary(vocabulary)
        named = words.name if vocabulary is words else f"{vocabulary}"
    spec = spec_of_run(
        folder, before, words, weights, device,
        semantic=semantic, sam_masks=sam_masks, min_score=min_score,
    )  # fmt: skip
    memory = [memory] if isinstance(memory, str | Path) else memory
    told: JsonValue = None
    if memory:
        from frozenseg_label.annotation.remember import memory_arguments, remembering

        spec = remembering(spec, memory)
        told = memory_arguments(spec, memory)
    elif "memory" in before.options:
        log.warning("the run had a memory of corrections, and goes on without; --memory keeps it")
    asked = {"vocabulary": named, "device": device, "memory": told}
    manifest = _renamed(before, spec, spec.options | asked)
    return _relabel(folder, manifest, spec, progress, started)


def manifest_with_proposals(folder: Path) -> "Manifest":
    """Return the manifest of a run; RunError where no proposals of its images are kept."""
    from frozenseg_label.errors import RunError
    from frozenseg_label.runs.run_reader import RunReader

    with RunReader.read(folder) as run:
        if not run.keeps_proposals:
            raise RunError(
                f"{folder}: no proposals are kept, so its images cannot be named anew; give the "
                "`frozenseg-label annotate` that made it again, with --keep-proposals"
            )
        return run.manifest


def spec_of_run(
    folder: Path,
    manifest: "Manifest",
    words: "Vocabulary",
    weights: str | Path | None,
    device: str,
    **chosen: bool | float | None,
) -> PredictorSpec:
    """Return the choices of a run with other words; RunError where the weights are others.

    Args:
        folder: of the run.
        manifest: of the run.
        words: the vocabulary.
        weights: name or file; None is what the manifest names.
        device: as in `PredictorSpec`.
        chosen: other options of it; None is what the run has. A memory is not taken over.
    """
    from frozenseg_label.checkpoints.header import read_checkpoint_info
    from frozenseg_label.checkpoints.named_weights import find_weights
    from frozenseg_label.errors import RunError

    weights = weights if weights is not None else manifest.weights.name
    found = read_checkpoint_info(find_weights(weights)).fingerprint
    if found != manifest.weights.fingerprint:
        raise RunError(
            f"{folder} was labelled by the weights {manifest.weights.name} "
            f"{manifest.weights.fingerprint[:12]}, and {weights} is {found[:12]}; name those "
            "weights with --weights, or label the images again with --keep-proposals"
        )
    options: dict[str, Any] = dict(manifest.options)
    options.pop("memory", None)
    options |= {name: value for name, value in chosen.items() if value is not None}
    return replace(PredictorSpec(weights, words, device), **options)


def _renamed(
    before: "Manifest", spec: PredictorSpec, arguments: "dict[str, JsonValue]"
) -> "Manifest":
    """Return the manifest of a run with other words; `arguments` are what the caller asked for."""
    from frozenseg_label.runs.manifest import RecordedVocabulary
    from frozenseg_label.version import __version__, library_versions

    update = {
        "tool_version": __version__,
        "arguments": before.arguments | arguments,
        "vocabulary": RecordedVocabulary.of(spec.vocabulary),
        "options": spec.options,
        "versions": library_versions(),
    }
    return before.model_copy(update=update)


def _relabel(
    folder: Path, manifest: "Manifest", spec: PredictorSpec, progress: bool, started: float
) -> RelabelSummary:
    """Name the images of a run by the words of a manifest.

    Args:
        started: when the call came, as of `time.monotonic`.
    """
    from frozenseg_label.runs.extra_formats import extra_formats_of
    from frozenseg_label.runs.run_folder import RunFolder

    opened = RunFolder.open_or_create(
        folder,
        manifest,
        update=True,
        formats=extra_formats_of(manifest),
        semantic=spec.semantic,
    )
    lacking: list[tuple[ImageRecord, ImageError]] = []
    with opened as here:
        try:
            done = _relabel_planned(here, spec, lacking, progress)
        finally:
            summary = here.finish()  # also when interrupted: what was labelled is a whole run
    if lacking:
        log.warning(
            "%d images keep their old labels, no proposals of them can be used; the first: %s. "
            "`frozenseg-label annotate` with the new words and --keep-proposals labels them",
            len(lacking),
            lacking[0][1],
        )
    return RelabelSummary(
        output=folder,
        made_with=MadeWith.of(manifest),
        relabelled=summary.labelled,
        skipped=done,
        lacking=len(lacking),
        segments={name: total.segments for name, total in summary.totals.classes.items()},
        seconds=time.monotonic() - started,
        paths=paths_in(folder),
        failures=failures_of(lacking),
    )


def _relabel_planned(
    run: "RunFolder",
    spec: PredictorSpec,
    lacking: "list[tuple[ImageRecord, ImageError]]",
    progress: bool,
) -> int:
    """Name the images that are to do; return how many were done before.

    Those that cannot be named are added to `lacking`.
    """
    from frozenseg_label.errors import ImageError
    from frozenseg_label.progress_bar import progress_bar

    plan = run.plan_relabel(semantic=spec.semantic)
    failed = set(plan.failed)
    for record in plan.failed:
        lacking.append((record, ImageError(f"{record.path}: could not be read the last time")))
    todo = [record for record in plan.todo if record not in failed]
    every = len(plan.done) + len(plan.todo)
    if not todo:
        log.info("%d images, all labelled by these words already: nothing to do", every)
        return len(plan.done)
    log.info("%d images, %d to name anew", every, len(todo))
    from frozenseg_label.annotation.relabel_images import relabel_images

    spec.warn_of_unknown_words()
    predictor = spec.load(encoders=False)
    with progress_bar(len(todo), show=progress) as bar:

        def on_finished(record: "ImageRecord", error: "ImageError | None") -> None:
            if error is not None:
                lacking.append((record, error))
            bar.update()

        relabel_images(todo, predictor, run, on_finished)
    return len(plan.done)
