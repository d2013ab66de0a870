"""The `annotate --merge` job: one run folder of several, such as the shards of one run."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.annotation.annotate_summary import (
    AnnotateSummary,
    MadeWith,
    paths_in,
    read_failures,
)
from frozenseg_label.part import Part

if TYPE_CHECKING:
    from frozenseg_label.formats.json_rows import RowPlace
    from frozenseg_label.runs.joined_run import JoinedRun
    from frozenseg_label.runs.run_reader import RunReader

log = logging.getLogger(__name__)


def merge_runs(
    runs: Sequence[str | Path], output: str | Path, *, progress: bool = False
) -> AnnotateSummary:
    """Join run folders of different images into one: labels, reviews, failures and what was kept.

    The folders that are joined stay as they are. A merge that was killed goes on by the same call,
    and a later call brings over what was labelled since. RunError where the runs were made with
    other weights, words or options, or where two of them have other labels of one image.

    Args:
        runs: run folders, as `annotate(..., shard="1/4")` writes them; nobody may be writing there.
        output: the joined run folder; made when missing.
        progress: show a progress bar on stderr.

    Returns:
        As `annotate`: `labelled` images are those that came, `skipped` were there already.

    Example:
        >>> for part in ("1/2", "2/2"):
        ...     out = f"labels-{part[0]}"
        ...     summary = frozenseg_label.annotate("pictures", out, "stickers", shard=part)
        >>> frozenseg_label.merge_runs(["labels-1", "labels-2"], "all-labels").labelled
        2
    """
    from frozenseg_label.addresses import refuse_address
    from frozenseg_label.errors import RunError
    from frozenseg_label.runs.extra_formats import extra_formats_of
    from frozenseg_label.runs.joined_run import JoinedRun, joined_manifest
    from frozenseg_label.runs.run_folder import RunFolder

    refuse_address(output, RunError)
    started, output = time.monotonic(), Path(output)
    folders = {Path(run).resolve(): Path(run) for run in runs}
    if not folders or output.resolve() in folders:
        raise RunError(f"{output}: name the run folders that it is joined from, and not itself")
    with ExitStack() as opened:
        sources = [opened.enter_context(RunFolder.open_to_correct(run)) for run in folders.values()]
        manifest = joined_manifest(sources)
        _warn_of_missing_parts(sources)
        if len(manifest.precisions) > 1:
            kinds = " and ".join(manifest.precisions)
            log.warning("the labels of these runs were made in %s, which differ a little", kinds)
        images = _images(sources)
        formats = extra_formats_of(manifest)
        with JoinedRun.open_or_create(output, manifest, formats=formats) as run:
            run.refuse_other_root(manifest)
            try:
                _take(images, run, progress)
            finally:
                summary = run.finish()  # also when interrupted
    return AnnotateSummary(
        output=output,
        made_with=MadeWith.of(manifest),
        labelled=summary.labelled,
        skipped=summary.skipped,
        failed=summary.totals.failed,
        missing_images=manifest.missing_images,
        segments={name: total.segments for name, total in summary.totals.classes.items()},
        seconds=time.monotonic() - started,
        warnings=manifest.warnings,
        paths=paths_in(output),
        failures=read_failures(output),
    )


def _images(sources: "Sequence[RunReader]") -> "dict[str, tuple[RunReader, list[RowPlace]]]":
    """Return the images of all runs by name, each with a run that has it and its rows there.

    An image that several runs have must have the same labels in them; one that failed in some comes
    from a run that has labels. Sorted, so that the joined run is one that one machine could have
    made.
    """
    from frozenseg_label.runs.joined_run import places_of_rows, refuse_two_labels

    found: dict[str, tuple[RunReader, list[RowPlace]]] = {}
    for source in sources:
        for image, places in places_of_rows(source).items():
            if image in found:
                before = found[image][0]
                refuse_two_labels(before, source, image)
                entry = before.entry(image)
                if entry is not None and entry.labels is not None:
                    continue
            found[image] = source, places
    return dict(sorted(found.items()))


def _take(
    images: "Mapping[str, tuple[RunReader, list[RowPlace]]]", run: "JoinedRun", progress: bool
) -> None:
    """Bring images over, with the rows and files that are missing in the joined run."""
    from frozenseg_label.progress_bar import progress_bar
    from frozenseg_label.runs.joined_run import places_of_rows

    here = places_of_rows(run)
    with progress_bar(len(images), show=progress, doing="merging") as bar:
        for image, (source, places) in images.items():
            run.take(source, places, here.get(image, ()))
            bar.update()


def _warn_of_missing_parts(sources: "Sequence[RunReader]") -> None:
    """Name the shards that are not among the runs: a join without them is no whole run."""
    parts = {Part.parse(f"{run.manifest.shard}") for run in sources if run.manifest.shard}
    for of in sorted({part.of for part in parts}):
        missing = [part for k in range(1, of + 1) if (part := Part(k, of)) not in parts]
        if missing:
            names = ", ".join(map(str, missing))
            log.warning("shards %s are missing; join them later into the same folder", names)
