"""The table and the picture of `human_seconds`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# Label, colour and line of each way. Okabe and Ito's colours, which people tell apart who see some
# colours alike; the lines differ, too.
LOOKS = {
    "by hand": ("draw all by hand", "#000000", ":"),
    "every proposal": ("correct every proposal", "#E69F00", "-"),
    "queue": ("queue, calibrate --accept", "#56B4E9", "--"),
    "queue and memory": ("the same with --memory", "#009E73", "-."),
    "queue, memory and train": ("the same with train", "#CC79A7", (0, (6, 1, 1, 1, 1, 1))),
}
WITHIN = 1.0  # points of PQ that count as equal


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each way, means and standard deviations over the sets.

    `hours to` is the time until PQ is within a point of what correcting every proposal of the same
    set brings; it is "never" if some set does not get there.
    """
    print("| way | hours | PQ | hours to equal PQ | drawing | looked at | accepted, right |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    wanted = {_set(row): row["pq"] - WITHIN for row in rows if row["way"] == "every proposal"}
    for way in LOOKS:
        of_way = [row for row in rows if row["way"] == way]
        if not of_way:
            continue
        reached = [hours_to(row["curve"], wanted.get(_set(row), 99.0)) for row in of_way]
        found = [hours for hours in reached if hours is not None]
        cells = (
            way,
            spread([row["hours"] for row in of_way], 2),
            spread([row["pq"] for row in of_way], 1),
            spread(found, 2) if len(found) == len(reached) else "never",
            spread([drawing_hours(row) for row in of_way], 2),
            spread([row["looked at"] for row in of_way], 0),
            f"{spread([row['accepted'] for row in of_way], 0)}, "
            f"{spread([row['accepted right'] for row in of_way], 0)}",
        )
        print(f"| {' | '.join(cells)} |")  # noqa: T201


def spread(values: Sequence[float], digits: int) -> str:
    """Return mean and standard deviation, or the only value."""
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def drawing_hours(row: Mapping[str, Any]) -> float:
    """Return the hours in which masks are drawn."""
    return float(sum(row["seconds"].get(action, 0.0) for action in ("redraw", "draw"))) / 3600


def hours_to(curve: Sequence[Sequence[float]], wanted: float) -> float | None:
    """Return after how many hours PQ is at least so high; None: it never is."""
    return next((hours for hours, pq in curve if pq >= wanted), None)


def draw_picture(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Draw PQ over hours: a line for each way, the mean of the sets, in the range of the sets."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    panel = figure.subplots()
    for way, (label, color, line) in LOOKS.items():
        curves = [np.array(row["curve"]) for row in rows if row["way"] == way]
        if not curves:
            continue
        hours = np.linspace(0, np.mean([curve[-1, 0] for curve in curves]), 200)
        # Each set by the share of its own work, for the sets do not take equally long.
        shares = [curve[:, 0] / curve[-1, 0] for curve in curves]
        qualities = np.stack(
            [
                np.interp(hours / hours[-1], share, curve[:, 1])
                for share, curve in zip(shares, curves, strict=True)
            ]
        )  # [sets, 200]
        panel.fill_between(hours, qualities.min(0), qualities.max(0), color=color, alpha=0.2, lw=0)
        mean = qualities.mean(axis=0)
        panel.plot(hours, mean, color=color, linestyle=line, linewidth=2, label=label)
        ends = ([curve[-1, 0] for curve in curves], [curve[-1, 1] for curve in curves])
        panel.plot(*ends, color=color, marker="o", markersize=4, linestyle="none")
    panel.set_xlabel("hours of a simulated reviewer")
    panel.set_ylabel("PQ of the labels of all scenes, per cent")
    panel.set_xlim(left=0)
    panel.set_ylim(0, 101)
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right")
    figure.savefig(out, dpi=110)


def _set(row: Mapping[str, Any]) -> int:
    """Return the number of the set that a row is about."""
    return int(row["settings"]["seed"])
