"""The `calibrate` job: which proposed segments are right, and which need not be looked at.

Heavy imports stay inside the functions: the command line reads its defaults here.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frozenseg_label.review.calibration.report import CalibrationReport, Withdrawal


def calibrate(
    output: str | Path,
    *,
    picture: str | Path | None = None,
    vocab_out: str | Path | None = None,
    precision: float = 0.9,
    accept: float | None = None,
    progress: bool = False,
) -> "CalibrationReport":
    """Learn from reviewed segments how probable it is that a proposed one is right.

    With `accept`, proposed segments of images that nobody has finished reviewing are accepted where
    their probability is so high that this precision holds with 95 % confidence, as tested on the
    reviewed segments; where no probability is, none are. The promise is for segments like the
    reviewed ones: review a random part of the images first, not only the most doubtful ones. No
    person's segment is touched. Accepted segments stay as they are under other weights and with a
    memory; other words make them proposals again. `train` does not learn from them, and the next
    calibration neither. Raises RunError where too few segments have
    been reviewed.

    Args:
        output: the run folder.
        picture: PNG to write: what was said against what came out.
        vocab_out: YAML file to write: the run's vocabulary with a `min_score` for each class.
        precision: share of right segments above these scores, more than 0 and less than 1.
        accept: share of right segments among those to accept, likewise; None accepts nothing.
        progress: show a bar on stderr.

    Returns:
        How well scores tell what is right, the scores above which the precision holds, and how many
        segments were accepted.

    Example:
        >>> report = frozenseg_label.calibrate("labels", precision=0.95)  # doctest: +SKIP
    """
    for name, share in (("precision", precision), ("accept", accept)):
        if share is not None and not 0 < share < 1:
            raise ValueError(f"{name} must be more than 0 and less than 1, got {share}")
    from frozenseg_label.review.calibration.calibrate_run import calibrate_run

    pictured = None if picture is None else Path(picture)
    words = None if vocab_out is None else Path(vocab_out)
    return calibrate_run(Path(output), pictured, words, precision, accept, progress)


def undo_calibrate(output: str | Path) -> "Withdrawal":
    """Take back all that `calibrate` accepted in a run folder.

    What a person has accepted or edited since is the person's, and stays.

    Args:
        output: the run folder.

    Returns:
        How many segments are proposals again.

    Example:
        >>> withdrawal = frozenseg_label.undo_calibrate("labels")  # doctest: +SKIP
    """
    from frozenseg_label.review.calibration.acceptance import take_back

    return take_back(Path(output))
