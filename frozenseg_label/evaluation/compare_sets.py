"""Two sets of labels compared: pair them, count image by image, and say what was found."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.confusions import most_frequent_pixels, most_frequent_segments
from frozenseg_label.evaluation.evaluation_report import (
    ClassFigures,
    EvaluationReport,
    Figures,
    ImageFigure,
)
from frozenseg_label.evaluation.pairing import Pairing, pair
from frozenseg_label.evaluation.tallies import Tallies
from frozenseg_label.evaluation.worst_images import WorstImages, write_comparison_pages
from frozenseg_label.label_sets.label_set import open_label_set

CONFUSIONS = 15  # pairs of classes told
SHOWN = 8  # names in a sentence


def compare_sets(
    predicted: Path, truth: Path, html: Path | None, images: Path | None, worst: int, progress: bool
) -> EvaluationReport:
    """Compare two sets of labels; the arguments are those of `evaluate`."""
    with (
        open_label_set(truth, images) as true_labels,
        open_label_set(predicted, images, like=true_labels) as labels,
        tempfile.TemporaryDirectory(prefix="frozenseg-label-") as folder,
    ):
        pairing = pair(labels, true_labels)
        has_segments = labels.has_segments and true_labels.has_segments
        common = pairing.common
        tallies = Tallies(common.vocabulary, common.judged, has_segments, Path(folder))
        lowest = WorstImages(worst)
        faults = [*labels.faults, *true_labels.faults]
        judged = 0
        for name in tqdm(pairing.images, "images", disable=None if progress else True):
            try:
                paired = pairing.read(name)
            except FormatError as error:
                faults.append(f"{error}")
                continue
            judged += 1
            lowest.add(name, tallies.add(paired))
        if faults and not judged:
            raise FormatError(faults[0])
        tallies.finish()
        report = replace(
            _report(pairing, tallies, lowest.images()), images=judged, faults=tuple(faults)
        )
        if html is None:
            return report
        return replace(report, html=write_comparison_pages(html, pairing, report))


def _report(pairing: Pairing, tallies: Tallies, worst: tuple[ImageFigure, ...]) -> EvaluationReport:
    common, counted = pairing.common, tallies.semantic.confusion
    categories = common.vocabulary.categories
    names = {category.id: category.name for category in categories}
    all_pixels, judged = int(counted.sum()), int(counted[:, 1:].sum())
    return EvaluationReport(
        predicted=pairing.predicted.path,
        truth=pairing.truth.path,
        images=len(pairing.images),
        only_predicted_images=len(pairing.predicted.images) - len(pairing.images),
        only_true_images=len(pairing.truth.images) - len(pairing.images),
        only_predicted_classes=common.only_predicted,
        only_true_classes=common.only_true,
        groups=_groups(pairing, tallies),
        classes=_classes(pairing, tallies),
        confused_pixels=tuple(most_frequent_pixels(counted, tuple(names.values()), CONFUSIONS)),
        confused_segments=tuple(most_frequent_segments(tallies.confused, names, CONFUSIONS)),
        unlabelled_truth=1.0 - judged / all_pixels if all_pixels else 0.0,
        unlabelled_predicted=float(counted[0, 1:].sum()) / judged if judged else 0.0,
        worst=worst,
        notes=tuple(_notes(pairing, tallies)),
    )


def _seen_here(pairing: Pairing) -> frozenset[int] | None:
    """Ids in the common vocabulary of the classes that the predictions' weights have seen.

    A class that the predictions' vocabulary has not is no seen one: nobody asked for it.
    """
    seen = pairing.predicted.seen
    if seen is None:
        return None
    return frozenset(pairing.common.predicted_ids[category_id] for category_id in seen)


def _groups(pairing: Pairing, tallies: Tallies) -> dict[str, Figures]:
    judged = pairing.common.judged
    groups: dict[str, frozenset[int]] = {"all": judged}
    if pairing.predicted.has_segments or pairing.truth.has_segments:
        things = {c.id for c in pairing.common.vocabulary.categories if c.is_thing}
        groups |= {"things": judged & things, "stuff": judged - things}
    seen = _seen_here(pairing)
    if seen is not None:
        groups |= {"seen": judged & seen, "unseen": judged - seen}
    return {name: tallies.figures(ids) for name, ids in groups.items()}


def _classes(pairing: Pairing, tallies: Tallies) -> tuple[ClassFigures, ...]:
    seen, rows = _seen_here(pairing), []
    for category in pairing.common.vocabulary.categories:
        if category.id not in pairing.common.judged or not tallies.occurs(category.id):
            continue
        counted = tallies.quality.get(category.id)
        paired = missed = spurious = None if not tallies.has_segments else 0
        if counted is not None:
            paired, missed = counted.true_positives, counted.false_negatives
            spurious = counted.false_positives
        rows.append(
            ClassFigures(
                name=category.name,
                is_thing=category.is_thing,
                seen=None if seen is None else category.id in seen,
                paired=paired,
                missed=missed,
                spurious=spurious,
                missed_pixels=tallies.missed_pixels(category.id),
                figures=tallies.figures([category.id]),
            )
        )
    return tuple(rows)


def _notes(pairing: Pairing, tallies: Tallies) -> Iterator[str]:
    predicted, truth, common = pairing.predicted, pairing.truth, pairing.common
    yield from (*predicted.notes, *truth.notes)
    for labels in (predicted, truth):
        if alone := len(labels.images) - len(pairing.images):
            yield f"{alone} images are in {labels.path} only; they are not judged"
    for path, names, what in (
        (predicted.path, common.only_predicted, "what they cover counts as missed"),
        (truth.path, common.only_true, "where they occur, they count as missed"),
    ):
        if names:
            yield f"{len(names)} classes are in {path} only ({_listed(names)}); {what}"
    if unreviewed := len(truth.unreviewed.intersection(pairing.images)):
        yield (
            f"{unreviewed} of the {len(pairing.images)} images have not been reviewed in "
            f"{truth.path}; a model's proposals count as truth there"
        )
    for labels in (predicted, truth):
        if not labels.has_segments:
            yield f"{labels.path} has classes of pixels, no segments: no PQ, AP and mask recall"
    if predicted.seen is None:
        yield (
            f"{predicted.path} has no run.json, which says what the weights have seen; no split "
            "into seen and unseen classes"
        )
    yield from _notes_on_scores(tallies.instances.scored, tallies.instances.unscored)


def _notes_on_scores(scored: int, unscored: int) -> Iterator[str]:
    if unscored and not scored:
        yield "the predictions carry no scores: no mask AP"
    elif unscored:
        yield (
            f"{unscored} of {scored + unscored} predicted things have no score; for mask AP they "
            "count as certain"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
