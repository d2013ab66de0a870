"""Compares two sets of labels: pairs them, counts image by image, and makes the report."""

import logging
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.confusions import (
    class_pairs,
    most_frequent_pixels,
    most_frequent_segments,
)
from frozenseg_label.evaluation.evaluation_report import (
    ClassFigures,
    EvaluationReport,
    Figures,
    ImageFigure,
)
from frozenseg_label.evaluation.mask_quality import (
    InstanceTally,
    Precision,
    RecallTally,
    mean_precision,
)
from frozenseg_label.evaluation.pairing import PairedImage, Pairing, pair
from frozenseg_label.evaluation.panoptic_quality import (
    CategoryQuality,
    HotcocoQuality,
    PanopticTally,
    differences,
    mean_quality,
)
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.evaluation.semantic_iou import SemanticTally, class_overlap
from frozenseg_label.evaluation.worst_images import WorstImages, write_comparison_pages
from frozenseg_label.formats.class_png import class_indices
from frozenseg_label.label_sets.class_map import ClassMap
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.label_sets.truth_source import TruthSource
from frozenseg_label.progress_bar import shown
from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)

CONFUSIONS = 15  # pairs of classes in the report


def compare_sets(
    predicted: Path,
    truth: TruthSource,
    html: Path | None,
    images: Path | None,
    worst: int,
    progress: bool,
    class_map: ClassMap | None = None,
) -> EvaluationReport:
    """Compare two sets of labels; the arguments are those of `evaluate`."""
    with (
        truth.open(images) as true_labels,
        open_label_set(predicted, images, like=true_labels) as labels,
        tempfile.TemporaryDirectory(prefix="frozenseg-label-") as folder,
    ):
        pairing = pair(labels, true_labels, class_map)
        for detail in pairing.common.report.details():
            log.debug("%s", detail)
        has_segments = labels.has_segments and true_labels.has_segments
        common = pairing.common
        tallies = Tallies(common.vocabulary, common.judged, has_segments, Path(folder))
        lowest = WorstImages(worst)
        faults = [*labels.faults, *true_labels.faults]
        judged = 0
        for name in shown(pairing.images, show=progress, failed=lambda: len(faults)):
            try:
                paired = pairing.read(name)
            except FormatError as error:
                faults.append(f"{error}")
                continue
            judged += 1
            quality = tallies.add(paired)
            log.debug("%s: %s", name, "empty" if quality is None else f"{100 * quality:.1f} %")
            lowest.add(name, quality)
        if faults and not judged:
            raise FormatError(faults[0])
        tallies.finish()
        report = replace(
            _report(pairing, tallies, lowest.images()), images=judged, faults=tuple(faults)
        )
        if html is None:
            return report
        return replace(report, html=write_comparison_pages(html, pairing, report))


@dataclass
class Tallies:
    """Counts all figures in one pass over the images; has them for any group of classes.

    Attributes:
        vocabulary: of all maps.
        judged: ids of the classes that can be right: those of the truth.
        has_segments: False: pixels have classes, but segments of one class are not told apart.
        folder: temporary and empty; hotcoco reads from it.
        left_out: pixels of classes that the class map leaves out.
    """

    vocabulary: Vocabulary
    judged: Collection[int]
    has_segments: bool
    folder: Path
    confused: Counter[tuple[int, int]] = field(default_factory=Counter)
    left_out: int = 0

    def __post_init__(self) -> None:
        things = [category.id for category in self.vocabulary.categories if category.is_thing]
        self.semantic = SemanticTally(len(self.vocabulary))
        self.instances = InstanceTally(things)
        self.quality: dict[int, CategoryQuality] = {}
        self._precision: dict[int, Precision] = {}
        self._recall = RecallTally()
        self._panoptic = PanopticTally()
        self._hotcoco = HotcocoQuality(self.vocabulary, self.folder)

    def add(self, paired: PairedImage) -> float | None:
        """Count one image and return its PQ, or mIoU without segments; None if nothing is in it."""
        predicted = class_indices(paired.predicted, self.vocabulary)  # [H, W]
        truth = class_indices(paired.truth, self.vocabulary)  # [H, W]
        self.semantic.add(predicted, truth)
        self.left_out += paired.left_out
        if not self.has_segments:
            return _mean_iou(predicted, truth)
        overlap = overlap_of(paired.predicted, paired.truth)
        self._panoptic.add_overlap(overlap)
        self._recall.add(overlap)
        self.instances.add(overlap)
        self.confused.update(class_pairs(overlap))
        self._hotcoco.add(
            (paired.predicted, paired.predicted_png), (paired.truth, paired.truth_png)
        )
        own = PanopticTally()
        own.add_overlap(overlap)
        mean = own.mean(self.judged)
        return mean.pq if mean.categories else None

    def finish(self) -> None:
        """Compute the figures that need all images."""
        if not self.has_segments:
            return
        self.quality = self._hotcoco.categories()
        for category_id in differences(self.quality, self._panoptic.categories):
            log.warning(
                "hotcoco and our own count differ on %r: %s, %s; hotcoco's is shown. Please report "
                "this.",
                self.vocabulary.by_id(category_id).name,
                self.quality.get(category_id),
                self._panoptic.categories.get(category_id),
            )
        self._precision = self.instances.categories()

    def figures(self, category_ids: Collection[int]) -> Figures:
        """Return the figures of a group of classes."""
        indices = [self.vocabulary.index_of(category_id) for category_id in category_ids]
        pixels = {
            "miou": self.semantic.mean(indices),
            "fwiou": self.semantic.weighted_mean(indices),
            "boundary_iou": self.semantic.mean(indices, boundary=True),
        }
        if not self.has_segments:
            occurring = sum(self.occurs(category_id) for category_id in category_ids)
            return Figures(occurring, None, **pixels)
        quality = mean_quality(self.quality, category_ids)
        precision = mean_precision(self._precision, category_ids)
        ap = precision._asdict() if precision is not None else {}
        recalls = self._recall.recall(category_ids)
        recall = dict(zip(("recall50", "recall75", "recall90"), recalls or (), strict=False))
        segments = sum(self._recall.segments(category_id) for category_id in category_ids)
        means = {"pq": quality.pq, "sq": quality.sq, "rq": quality.rq} if quality.categories else {}
        return Figures(quality.categories, segments, **means, **pixels, **ap, **recall)

    def occurs(self, category_id: int) -> bool:
        """Return whether the class occurs in the pixels or segments that count."""
        index = self.vocabulary.index_of(category_id) + 1
        counted = self.semantic.confusion
        in_pixels = counted[index, 1:].sum() + counted[:, index].sum() > 0
        return bool(in_pixels) or category_id in self.quality

    def missed_pixels(self, category_id: int) -> int:
        """Return how many true pixels of the class were not predicted as it."""
        index = self.vocabulary.index_of(category_id)
        right = self.semantic.confusion[index + 1, index + 1]
        return int(self.semantic.true_pixels[index] - right)


def _mean_iou(predicted: NDArray[np.uint16], truth: NDArray[np.uint16]) -> float | None:
    """Return the mean IoU of one image over the classes of its truth."""
    rows, columns, pixels = class_overlap(predicted, truth)
    known = columns > 0
    columns, pixels = columns[known], pixels[:, known]
    both = np.where(rows[:, None] == columns, pixels, 0)
    of_class = pixels.sum(axis=1) @ (rows[:, None] == columns)  # predicted, on known pixels
    union = of_class + pixels.sum(axis=0) - both.sum(axis=0)
    return float((both.sum(axis=0) / union).mean()) if len(columns) else None


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
        matched_classes=common.report,
        groups=_groups(pairing, tallies),
        classes=_classes(pairing, tallies),
        confused_pixels=tuple(most_frequent_pixels(counted, tuple(names.values()), CONFUSIONS)),
        confused_segments=tuple(most_frequent_segments(tallies.confused, names, CONFUSIONS)),
        unlabelled_truth=1.0 - judged / all_pixels if all_pixels else 0.0,
        unlabelled_predicted=float(counted[0, 1:].sum()) / judged if judged else 0.0,
        left_out_pixels=tallies.left_out,
        worst=worst,
        notes=tuple(_notes(pairing, tallies)),
    )


def _groups(pairing: Pairing, tallies: Tallies) -> dict[str, Figures]:
    judged = pairing.common.judged
    groups: dict[str, frozenset[int]] = {"all": judged}
    if pairing.predicted.has_segments or pairing.truth.has_segments:
        things = {c.id for c in pairing.common.vocabulary.categories if c.is_thing}
        groups |= {"things": judged & things, "stuff": judged - things}
    seen = pairing.seen
    if seen is not None:
        groups |= {"seen": judged & seen, "unseen": judged - seen}
    return {name: tallies.figures(ids) for name, ids in groups.items()}


def _classes(pairing: Pairing, tallies: Tallies) -> tuple[ClassFigures, ...]:
    seen, rows = pairing.seen, []
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
        if unpaired := len(labels.images) - len(pairing.images):
            yield f"{unpaired} images are only in {labels.path}; they do not count"
    yield from common.notes(predicted.path, truth.path)
    if tallies.left_out:
        yield f"{tallies.left_out} pixels are of classes that --class-map leaves out"
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
            f"{predicted.path} has no run.json, which says what the weights have seen: no figures "
            "of seen and unseen classes"
        )
    yield from tallies.instances.notes()
