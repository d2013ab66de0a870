"""Draw how the stages learned, from the logs that they leave.

    python -m recipes.nano.studying.curves      # of checkpoints/, into curves.png

Looks for clip-log.jsonl, sam-log.jsonl and decoder-log.jsonl.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recipes.nano.making.stage_files import read_lines

NANO = Path(__file__).parents[1]
Row = Mapping[str, Any]
Series = Callable[[Row], float | None]


def of_scenes(scenes: str, key: str) -> Series:
    """Return a reader of a number of SAM's log, on scenes of one kind."""
    return lambda row: row.get(key) if row.get("scenes") == scenes else None


def of_key(key: str) -> Series:
    """Return a reader of a number of a log."""
    return lambda row: row.get(key)


CLIP: Mapping[str, Series] = {
    "single stickers, training styles": of_key("train crops"),
    "single stickers, EmojiTwo": of_key("validate crops"),
    "seen things on true masks, training styles": of_key("train 256 seen things"),
    "seen things on true masks, EmojiTwo": of_key("validate 256 seen things"),
}
SAM: Mapping[str, Series] = {
    "things, training styles": of_scenes("train_styles", "thing"),
    "things, EmojiTwo": of_scenes("validation_style", "thing"),
    "stuff, EmojiTwo": of_scenes("validation_style", "stuff"),
}
DECODER: Mapping[str, Series] = {
    "PQ seen, EmojiTwo": of_key("pq_seen"),
    "PQ unseen, EmojiTwo": of_key("pq_unseen"),
    "recall of seen things, EmojiTwo": of_key("recall_seen_things"),
    "recall of unseen things, EmojiTwo": of_key("recall_unseen_things"),
}


def draw_curves(logs: Path, out: Path) -> None:
    """Draw one panel for each stage."""
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    panels[0].set_title("CLIP: top-1 in per cent, all names")
    panels[1].set_title("SAM: IoU from one point")
    panels[2].set_title("decoder: per cent")
    draw_panel(panels[0], read_lines(logs / "clip-log.jsonl"), "iteration", CLIP)
    draw_panel(panels[1], read_lines(logs / "sam-log.jsonl"), "iteration", SAM)
    draw_panel(panels[2], read_lines(logs / "decoder-log.jsonl"), "step", DECODER)
    figure.savefig(out, dpi=80)


def draw_panel(panel: Axes, rows: Sequence[Row], at: str, wanted: Mapping[str, Series]) -> None:
    """Draw a line for every wanted number."""
    for name, series in wanted.items():
        found = [(row[at], value) for row in rows if (value := series(row)) is not None]
        panel.plot(*zip(*found, strict=True), marker="o", markersize=3, label=name)
    panel.set_xlabel(at)
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--logs", type=Path, default=NANO / "checkpoints")
    parser.add_argument("--out", type=Path, default=NANO / "curves.png")
    given = parser.parse_args()
    draw_curves(given.logs, given.out)


if __name__ == "__main__":
    main()
