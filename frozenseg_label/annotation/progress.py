"""The progress bar of a run, and the rule by which a run gives up."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from frozenseg_label.errors import ImageError, RunError
from frozenseg_label.runs.plan import Plan

log = logging.getLogger(__name__)

FEWEST_BEFORE_GIVING_UP = 20  # images; the failure rate of fewer says little


@contextmanager
def shown_progress(
    plan: Plan, max_failure_rate: float, progress: bool
) -> Iterator[Callable[[ImageError | None], None]]:
    """Yield what to call with each image of the plan that is finished, and its error if it failed.

    It raises RunError once a larger share of the images, those of earlier runs among them, has
    failed than `max_failure_rate`.
    """
    finished = len(plan.done)
    failures: list[ImageError] = []
    fewest = min(FEWEST_BEFORE_GIVING_UP, len(plan.done) + len(plan.todo))
    # disable=None: no bar where stderr is no terminal
    hidden = None if progress and plan.todo else True
    bar = tqdm(total=len(plan.todo), unit="image", disable=hidden)

    def on_finished(error: ImageError | None) -> None:
        nonlocal finished
        finished += 1
        bar.update()
        if error is not None:
            failures.append(error)
            log.warning("failed: %s", error)
        if finished >= fewest and len(failures) > max_failure_rate * finished:
            raise RunError(
                f"{len(failures)} of {finished} images failed, more than --max-failure-rate "
                f"{max_failure_rate} allows; mend or remove them. The last one: {failures[-1]}"
            )

    # Messages go above the bar, not into it.
    with bar, nullcontext() if bar.disable else logging_redirect_tqdm():
        yield on_finished
