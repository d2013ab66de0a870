"""The reliability of scores and of calibrated probabilities, as a picture."""

import io
from pathlib import Path

from frozenseg_label.errors import ReviewError
from frozenseg_label.files import atomic_write
from frozenseg_label.review.calibration.report import CalibrationReport


def draw_reliability(report: CalibrationReport, picture: Path) -> None:
    """Draw the share of right segments against their probability into a PNG of 1200 x 600 pixels.

    Points on the diagonal say what comes out; the numbers beside them count segments.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not with pyplot: it keeps every figure in memory and chooses a window system.
    figure = Figure(figsize=(12, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{report.segments} reviewed segments in {report.images} images")
    panels = (
        ("score as it is", report.scores, report.error_before),
        ("calibrated, cross-fitted by image", report.probabilities, report.error_after),
    )
    for axes, (title, bins, error) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.set_title(f"{title}: expected calibration error {100 * error:.1f} %")
        axes.plot([0, 1], [0, 1], color="0.7")
        axes.plot([one.said for one in bins], [one.right for one in bins], "o-")
        for one in bins:
            axes.annotate(
                f"{one.number}", (one.said, one.right), xytext=(6, -10), textcoords="offset points"
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
        axes.set_xlabel("said probability that a segment is right")
        axes.set_ylabel("share that is right")
        axes.grid(visible=True, alpha=0.3)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    atomic_write(picture, data.getvalue(), error=ReviewError)
