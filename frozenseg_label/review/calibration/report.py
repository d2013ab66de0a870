"""What a calibration found, as plain numbers. All shares lie in 0..1."""

from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.evaluation.calibration import Bin
from frozenseg_label.evaluation.precision_bound import Threshold


@dataclass(frozen=True)
class ClassCalibration:
    """The judged segments that the model gave one class.

    Attributes:
        name: of the class.
        segments: judged ones.
        right: how many of them a person left (class, and IoU above one half).
        score: mean of the model's scores.
        calibrated: mean of the cross-fitted probabilities.
        shares: it has few examples, so that its probabilities are those of all such classes.
        min_score: in the vocabulary that was written; None: none was.
        reaches: whether this score reaches the precision that was asked for; None likewise.
    """

    name: str
    segments: int
    right: int
    score: float
    calibrated: float
    shares: bool
    min_score: float | None = None
    reaches: bool | None = None


@dataclass(frozen=True)
class Acceptance:
    """What a machine accepted.

    Attributes:
        target: the precision that was asked for.
        threshold: of the probability, and what it was tested on; None: none promises the target.
        best: the threshold that came nearest; None: too few segments for any.
        missing: so many right segments more, at the least, would be needed; 0 with a threshold.
        segments: accepted now.
        open: segments that nobody had judged or accepted before.
        images: with such segments.
        settled: images of these in which none is left.
    """

    target: float
    threshold: Threshold | None
    best: Threshold | None
    missing: int
    segments: int = 0
    open: int = 0
    images: int = 0
    settled: int = 0


@dataclass(frozen=True)
class CalibrationReport:
    """How probable it is that proposed segments are right, as the reviewed ones tell.

    Attributes:
        run: folder.
        images: reviewed ones.
        outdated: reviewed images that other weights, words or options had labelled; they do not
            count.
        segments: judged ones.
        right: how many of them a person left.
        error_before, error_after: expected calibration error of the model's scores, and of the
            cross-fitted probabilities.
        scores, probabilities: the reliability of both, from low to high.
        classes: those that occur, in the order of the vocabulary.
        picture: of the reliability; None: none was asked for.
        vocabulary: with the new `min_score`s; None likewise.
        acceptance: None likewise.
    """

    run: Path
    images: int
    outdated: int
    segments: int
    right: int
    error_before: float
    error_after: float
    scores: tuple[Bin, ...]
    probabilities: tuple[Bin, ...]
    classes: tuple[ClassCalibration, ...]
    picture: Path | None = None
    vocabulary: Path | None = None
    acceptance: Acceptance | None = None


@dataclass(frozen=True)
class Withdrawal:
    """Acceptances that were taken back.

    Attributes:
        run: folder.
        images: in which there were some.
        segments: that are proposed once more.
    """

    run: Path
    images: int
    segments: int
