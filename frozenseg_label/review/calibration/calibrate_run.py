"""One calibration: read what was judged, fit, test a threshold; then write what was asked for."""

import math
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from frozenseg_label.evaluation.calibration import (
    JudgedSegments,
    Values,
    calibration_error,
    cross_fitted,
    fit,
    own_classes,
    reliability,
    score_floor,
)
from frozenseg_label.evaluation.precision_bound import search_threshold
from frozenseg_label.review.calibration.acceptance import accept
from frozenseg_label.review.calibration.judged_rows import read_judged
from frozenseg_label.review.calibration.reliability_picture import draw_reliability
from frozenseg_label.review.calibration.report import CalibrationReport, ClassCalibration
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import write_vocabulary


def calibrate_run(
    output: Path,
    picture: Path | None,
    vocab_out: Path | None,
    precision: float,
    target: float | None,
    progress: bool,
) -> CalibrationReport:
    """Calibrate one run; the arguments are those of `calibrate`, `target` is its `accept`."""
    opened: AbstractContextManager[RunReader] = (
        RunReader.read(output) if target is None else RunFolder.open_to_correct(output)
    )
    with opened as run:
        found = read_judged(run, progress=progress)
        judged = found.segments
        own = own_classes(judged)
        probabilities = cross_fitted(judged, own)  # [N]
        scores = tuple(reliability(judged.scores, judged.right))
        after = tuple(reliability(probabilities, judged.right))
        report = CalibrationReport(
            run=output,
            images=found.images,
            outdated=found.outdated,
            segments=len(judged),
            right=int(judged.right.sum()),
            error_before=calibration_error(scores),
            error_after=calibration_error(after),
            scores=scores,
            probabilities=after,
            classes=_classes(run.vocabulary, judged, probabilities, own),
        )
        if vocab_out is not None:
            report = _with_vocabulary(report, run.vocabulary, judged, precision, vocab_out)
        if picture is not None:
            draw_reliability(report, picture)
            report = replace(report, picture=picture)
        if target is not None and isinstance(run, RunFolder):
            search = search_threshold(probabilities, judged.right, target)
            acceptance = accept(run, fit(judged, own), search, target)
            run.finish()
            report = replace(report, acceptance=acceptance)
    return report


def _classes(
    vocabulary: Vocabulary, judged: JudgedSegments, probabilities: Values, own: list[int]
) -> tuple[ClassCalibration, ...]:
    classes = []
    for category in vocabulary.categories:
        inside = judged.categories == category.id  # [N]
        if inside.any():
            classes.append(
                ClassCalibration(
                    name=category.name,
                    segments=int(inside.sum()),
                    right=int(judged.right[inside].sum()),
                    score=float(judged.scores[inside].mean()),
                    calibrated=float(probabilities[inside].mean()),
                    shares=category.id not in own,
                )
            )
    return tuple(classes)


def _with_vocabulary(
    report: CalibrationReport,
    vocabulary: Vocabulary,
    judged: JudgedSegments,
    precision: float,
    path: Path,
) -> CalibrationReport:
    """Write the vocabulary with `min_score`s that reach the precision, as far as they can."""
    shared = score_floor(judged, precision)
    found = {entry.name: entry for entry in report.classes}
    categories, classes = [], dict[str, ClassCalibration]()
    for category in vocabulary.categories:
        entry, floor = found.get(category.name), shared
        if entry is not None and not entry.shares:
            floor = score_floor(judged.of_places(judged.categories == category.id), precision)
        lowest = 0.0 if floor is None else _just_below(floor)
        category = replace(category, min_score=max(category.min_score, lowest))
        categories.append(category)
        if entry is not None:
            classes[entry.name] = replace(
                entry, min_score=category.min_score, reaches=floor is not None
            )
    write_vocabulary(path, replace(vocabulary, categories=tuple(categories)))
    return replace(report, vocabulary=path, classes=tuple(classes.values()))


def _just_below(score: float) -> float:
    """Return four digits below a score: a segment needs a score above its class's `min_score`."""
    return max(0.0, (math.ceil(score * 1e4) - 1) / 1e4)
