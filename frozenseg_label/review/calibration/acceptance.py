"""Segments that a machine accepts, and how this is taken back: one journal row an image.

A killed run has settled some images whole; the same command settles the rest.
"""

from pathlib import Path

import numpy as np

from frozenseg_label.evaluation.calibration import Calibrator, signals_of
from frozenseg_label.evaluation.precision_bound import Search
from frozenseg_label.review.calibration.judged_rows import is_present
from frozenseg_label.review.calibration.report import Acceptance, Withdrawal
from frozenseg_label.runs.run_folder import RunFolder

RULE = "calibrate"  # how the rule begins that segments are accepted by


def accept(run: RunFolder, calibrator: Calibrator, found: Search, target: float) -> Acceptance:
    """Accept the proposed segments whose probability reaches the threshold that passed.

    Images that a person has reviewed, or that other weights, words or options labelled, are left
    alone.

    Args:
        found: the search for a threshold; without one, nothing is accepted.
        target: the precision that is promised.
    """
    rule = f"{RULE} {target:g}"
    accepted = proposed = images = settled = 0
    for entry in run.entries():
        if entry.labels is None or entry.labels.state == "reviewed" or not is_present(run, entry):
            continue
        segments = entry.labels.current.segments(run.vocabulary)
        some = [s for s in segments if s.state == "proposed" and s.score is not None]
        sure: set[int] = set()
        if some and found.passed is not None:
            pixels = entry.labels.width * entry.labels.height
            probabilities = calibrator.probabilities(
                [signals_of(segment, pixels) for segment in some],
                [segment.category_id for segment in some],
            )
            places = np.flatnonzero(probabilities >= found.passed.probability)
            sure = {some[place].id for place in places.tolist()}
        if sure:
            run.settle(entry, sure, rule)
        accepted, proposed = accepted + len(sure), proposed + len(some)
        images, settled = images + bool(some), settled + bool(some and len(sure) == len(some))
    return Acceptance(
        target, found.passed, found.best, found.missing, accepted, proposed, images, settled
    )


def take_back(output: Path) -> Withdrawal:
    """Make all segments of a run that a machine accepted proposed ones again.

    Those that a person has accepted or edited since are the person's, and stay.
    """
    images = segments = 0
    with RunFolder.open_to_correct(output) as run:
        for entry in run.entries():
            ids = entry.labels.machine_accepted() if entry.labels is not None else set()
            if ids:
                run.settle(entry, ids, None)
                images, segments = images + 1, segments + len(ids)
        run.finish()
    return Withdrawal(output, images, segments)
