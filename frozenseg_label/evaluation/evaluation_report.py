"""The result of an evaluation, as plain numbers. All shares lie in 0..1."""

from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.evaluation.confusions import Confusion
from frozenseg_label.label_sets.class_report import ClassReport


@dataclass(frozen=True)
class Figures:
    """How well one class, or a group of classes, agrees; None where that is not known.

    Attributes:
        classes: number of classes that occur, in predictions or truth.
        segments: true ones.
        pq, sq, rq: panoptic, segmentation and recognition quality; of a group, means over classes.
        miou: IoU of the pixels' classes; of a group, the mean over classes.
        fwiou: the same, classes weighted by their true pixels.
        boundary_iou: IoU of the pixels near the edges of the classes.
        ap, ap50, ap75: average precision of masks of things, IoU .50:.05:.95, .50, .75.
        recall50, recall75, recall90: share of true segments that some predicted segment, of
            whatever class, covers with that IoU.
    """

    classes: int
    segments: int | None = None
    pq: float | None = None
    sq: float | None = None
    rq: float | None = None
    miou: float | None = None
    fwiou: float | None = None
    boundary_iou: float | None = None
    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None
    recall50: float | None = None
    recall75: float | None = None
    recall90: float | None = None


@dataclass(frozen=True)
class ClassFigures:
    """The result for one class.

    Attributes:
        name: of the class.
        is_thing: thing or stuff.
        seen: by the weights in their training; None: not known.
        paired, missed, spurious: segments of both, only of the truth, only of the predictions;
            None where the labels have no segments.
        missed_pixels: true pixels that were not predicted as this class.
        figures: the figures.
    """

    name: str
    is_thing: bool
    seen: bool | None
    paired: int | None
    missed: int | None
    spurious: int | None
    missed_pixels: int
    figures: Figures


@dataclass(frozen=True)
class ImageFigure:
    """One image and its PQ (mIoU where there are no segments), mean over the classes in it."""

    name: str
    quality: float


@dataclass(frozen=True)
class EvaluationReport:
    """How well predicted labels agree with true ones.

    Attributes:
        predicted, truth: what was compared.
        images: that both sets have.
        only_predicted_images, only_true_images: how many only one set has; they do not count.
        only_predicted_classes, only_true_classes: names that only one vocabulary has. The former
            are in no mean, but what they cover is missed; the latter count as missed.
        matched_classes: how the classes of the predictions were found in the truth.
        groups: `all`, `things`, `stuff`, `seen`, `unseen`, in this order, as far as they are known.
        classes: those that occur, in the order of the truth's vocabulary.
        confused_pixels, confused_segments: the most frequent pairs of classes; segments are those
            whose mask is right and whose name is not.
        unlabelled_truth: share of all pixels that the truth leaves unlabelled; they do not count.
        unlabelled_predicted: share of the other pixels that the predictions leave unlabelled.
        left_out_pixels: of classes that the class map leaves out, in one set or in both.
        worst: the images with the lowest quality, the lowest first.
        notes: what could not be evaluated, and what to keep in mind.
        faults: what is wrong with images that could not be compared, a sentence for each.
        html: the page of the worst images; None: none was asked for.
    """

    predicted: Path
    truth: Path
    images: int
    only_predicted_images: int
    only_true_images: int
    only_predicted_classes: tuple[str, ...]
    only_true_classes: tuple[str, ...]
    matched_classes: ClassReport
    groups: dict[str, Figures]
    classes: tuple[ClassFigures, ...]
    confused_pixels: tuple[Confusion, ...]
    confused_segments: tuple[Confusion, ...]
    unlabelled_truth: float
    unlabelled_predicted: float
    left_out_pixels: int
    worst: tuple[ImageFigure, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    html: Path | None = None


@dataclass(frozen=True)
class Outcomes:
    """How many of a model's segments a person kept, changed, added and removed.

    Attributes:
        right: kept, with the class and (nearly) the mask.
        moved: kept with its class, but the boundary was moved.
        wrong_class: the mask was right, and the person gave it this class instead of another.
        missed: the person added it.
        spurious: the person removed it.
        pq: of the model's labels against the person's, 0..1.
    """

    right: int = 0
    moved: int = 0
    wrong_class: int = 0
    missed: int = 0
    spurious: int = 0
    pq: float = 0.0


@dataclass(frozen=True)
class ReviewedReport:
    """The model's labels against the reviewed ones, on the reviewed images of one run.

    Attributes:
        run: folder.
        images: reviewed ones that a model had labelled before.
        unjudged: reviewed images that no model had labelled.
        total: of all classes; `pq` is the mean over classes.
        classes: those that occur, by name, in the order of the vocabulary. A segment of the wrong
            class counts for the class that the person gave it.
        confused: the most frequent (model's class, person's class).
        worst: the images with the lowest PQ, the lowest first.
        notes: what to keep in mind.
        html: the page of the worst images; None: none was asked for.
    """

    run: Path
    images: int
    unjudged: int
    total: Outcomes
    classes: dict[str, Outcomes]
    confused: tuple[Confusion, ...] = ()
    worst: tuple[ImageFigure, ...] = ()
    notes: tuple[str, ...] = ()
    html: Path | None = None
