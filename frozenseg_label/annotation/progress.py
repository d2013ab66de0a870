"""What people are told of a run: its plan, its progress, and when it gives up."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from frozenseg_label.checkpoints.header import read_checkpoint_info
from frozenseg_label.checkpoints.named_weights import find_weights
from frozenseg_label.errors import ImageError, RunError
from frozenseg_label.formats.demo_picture import is_demo_picture
from frozenseg_label.images import ImageRecord
from frozenseg_label.progress_bar import progress_bar
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.plan import Plan

log = logging.getLogger(__name__)

FEWEST_BEFORE_GIVING_UP = 20  # images; the failure rate of fewer says little
FOR_DRAWINGS = (
    "the weights {weights} are made for drawings, and these are not the images that "
    "`frozenseg-label demo` writes: labels of photographs will be wrong. For photographs: "
    "`frozenseg-label weights fetch convnext-large`, then `--weights convnext-large`"
)


def announce(plan: Plan, manifest: Manifest) -> None:
    """Say how much there is to do and why, and which images are not those that were labelled."""
    every = len(plan.done) + len(plan.todo)
    if not plan.todo:
        log.info("%d images, all labelled already: nothing to do", every)
    else:
        reasons = ", ".join(f"{count} {reason}" for reason, count in plan.reasons.items())
        log.info("%d images, %d to label (%s)", every, len(plan.todo), reasons)
        for warning in manifest.warnings:
            log.warning("%s", warning)
    for record in plan.touched:
        log.warning(
            "%s: another picture than the one that a person corrected; the corrections stay, "
            "and the image is in review again",
            record.path,
        )
    if manifest.missing_images:
        log.warning(
            "%d labelled images are no longer in %s; their labels stay in the run",
            manifest.missing_images,
            manifest.root,
        )


def doubts(records: Sequence[ImageRecord], weights: str | Path) -> tuple[str, ...]:
    """Return what is to be said of all labels of these images: weights for drawings."""
    made_for = read_checkpoint_info(find_weights(weights)).made_for
    if made_for != "drawings" or all(map(_is_drawing, records)):
        return ()
    return (FOR_DRAWINGS.format(weights=weights),)


def _is_drawing(record: ImageRecord) -> bool:
    """Return whether `demo` wrote an image; at addresses there are none."""
    return isinstance(record.path, Path) and is_demo_picture(record.path)


@contextmanager
def shown_progress(
    plan: Plan, max_failure_rate: float, progress: bool
) -> Iterator[Callable[[ImageError | None], None]]:
    """Yield what to call with each image of the plan that is finished, and its error if it failed.

    It raises RunError once a larger share of the images, those of earlier runs among them, has
    failed than `max_failure_rate`.
    """
    finished = len(plan.done)
    failed, last = 0, ""
    fewest = min(FEWEST_BEFORE_GIVING_UP, len(plan.done) + len(plan.todo))

    def on_finished(error: ImageError | None) -> None:
        nonlocal finished, failed, last
        finished += 1
        if error is not None:
            failed, last = failed + 1, f"{error}"
            bar.set_postfix_str(f"{failed} failed", refresh=False)
            log.warning("failed: %s", error)
        bar.update()
        if finished >= fewest and failed > max_failure_rate * finished:
            raise RunError(
                f"{failed} of {finished} images failed, more than --max-failure-rate "
                f"{max_failure_rate} allows; repair or remove them. The last one: {last}"
            )

    with progress_bar(len(plan.todo), show=progress) as bar:
        yield on_finished
