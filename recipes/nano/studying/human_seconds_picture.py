"""The table and the picture of `human_seconds`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    """Print a line for each way; `hours to` is the time until PQ is within a point of way two's."""
    wanted = next((row["pq"] for row in rows if row["way"] == "every proposal"), 100.0) - WITHIN
    print(f"| way | hours | PQ | hours to PQ {wanted:.1f} | drawing | looked at | accepted |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    for row in rows:
        reached = hours_to(row["curve"], wanted)
        drawing = sum(row["seconds"].get(action, 0.0) for action in ("redraw", "draw"))
        cells = (
            row["way"],
            f"{row['hours']:.2f}",
            f"{row['pq']:.1f}",
            "never" if reached is None else f"{reached:.2f}",
            f"{100 * drawing / 3600 / row['hours']:.0f} %",
            row["looked at"],
            f"{row['accepted']}, {row['accepted right']} right" if row["accepted"] else "0",
        )
        print(f"| {' | '.join(map(str, cells))} |")  # noqa: T201


def hours_to(curve: Sequence[Sequence[float]], wanted: float) -> float | None:
    """Return after how many hours PQ is at least so high; None: it never is."""
    return next((hours for hours, pq in curve if pq >= wanted), None)


def draw_picture(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Draw PQ over hours, a line for each way."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    panel = figure.subplots()
    for row in rows:
        label, color, line = LOOKS[row["way"]]
        hours, pq = zip(*row["curve"], strict=True)
        panel.plot(hours, pq, color=color, linestyle=line, linewidth=2, label=label)
        panel.plot(hours[-1:], pq[-1:], color=color, marker="o")
    panel.set_xlabel("hours of a simulated reviewer")
    panel.set_ylabel("PQ of the labels of all scenes, per cent")
    panel.set_xlim(left=0)
    panel.set_ylim(0, 101)
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right")
    figure.savefig(out, dpi=110)
