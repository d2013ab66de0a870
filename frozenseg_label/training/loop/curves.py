"""The curves of a training as a picture: losses, learning rate, quality on held-out images."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import TrainingError
from frozenseg_label.files import atomic_write
from frozenseg_label.training.loop.training_log import Row, read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOTAL = "loss"
TERMS = ("classification", "mask", "dice")
RATE = "learning_rate"
QUALITY = "PQ"  # names of measured qualities end with it
SMOOTHED = 0.05  # share of the points that are averaged for a smooth line


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the log of a training into a PNG of 1200 x 800 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_rows(log)
    # Not with pyplot: it keeps every figure in memory and chooses a window system.
    figure = Figure(figsize=(12, 8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    (whole, terms), (quality, rate) = figure.subplots(2, 2)
    _draw_losses(whole, "loss (weighted sum over all layers)", rows, (TOTAL,))
    _draw_losses(terms, "terms of the last layer", rows, TERMS)
    _draw_quality(quality, rows)
    _draw_rate(rate, rows)
    last = max([1, *(row["step"] for row in rows)])
    for axes in (whole, terms, quality, rate):
        axes.set_xlim(-0.02 * last, 1.02 * last)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("step")
        axes.grid(visible=True, alpha=0.3)

    data = io.BytesIO()
    figure.savefig(data, format="png")
    atomic_write(picture, data.getvalue(), error=TrainingError)


def _draw_losses(axes: "Axes", title: str, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Draw a smooth line over faint points for each loss."""
    axes.set_title(title)
    drawn = False
    for number, name in enumerate(names):
        steps, values = _series(rows, name)
        if len(steps):
            drawn = True
            color = f"C{number}"
            axes.plot(steps, values, ".", color=color, alpha=0.25, markersize=4)
            line = _line_through(steps)
            axes.plot(steps, smooth(values), line, color=color, linewidth=2, label=name)
    if not drawn:
        _say(axes, "no finite losses in the log")
        return
    axes.set_ylim(bottom=0)
    axes.legend()


def _draw_quality(axes: "Axes", rows: Sequence[Row]) -> None:
    """Draw all qualities that were measured, and name the best of each."""
    axes.set_title("panoptic quality")
    names = dict.fromkeys(name for row in rows for name in row if name.endswith(QUALITY))
    drawn = False
    for name in names:
        steps, values = _series(rows, name)
        if len(steps):
            drawn = True
            best = int(values.argmax())
            label = f"{name}: best {values[best]:.1f} at step {steps[best]:.0f}"
            axes.plot(steps, values, "o-", markersize=5, label=label)
    if drawn:
        axes.legend()
    else:
        _say(axes, "nothing was evaluated")


def _draw_rate(axes: "Axes", rows: Sequence[Row]) -> None:
    """Draw the learning rate."""
    axes.set_title("learning rate")
    steps, values = _series(rows, RATE)
    if len(steps):
        axes.plot(steps, values, _line_through(steps), color="C7")
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", scilimits=(-2, 3))
    else:
        _say(axes, "no learning rate in the log")


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each value and its neighbours, about a twentieth of all values."""
    reach = round(SMOOTHED * len(values) / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, end = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    mean: NDArray[np.float64] = (sums[end] - sums[first]) / (end - first)
    return mean


def _series(rows: Sequence[Row], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps and the finite values of a name."""
    points = [(row["step"], row[name]) for row in rows if np.isfinite(row.get(name, np.nan))]
    steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return steps, values


def _line_through(steps: NDArray[np.float64]) -> str:
    """Return the style of a line; a single point needs a marker to be seen."""
    return "o" if len(steps) == 1 else "-"


def _say(axes: "Axes", words: str) -> None:
    """Write into a plot why it has no curve."""
    axes.text(0.5, 0.5, words, ha="center", va="center", color="0.4", transform=axes.transAxes)
    axes.set_axis_off()
