"""The log of a training while it runs: JSON rows, TensorBoard files, a progress bar."""

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from frozenseg_label.documents import parse_json
from frozenseg_label.errors import TrainingError
from frozenseg_label.files import (
    atomic_write,
    explained,
    make_folder,
    read_regular,
    refuse_links,
)
from frozenseg_label.progress_bar import progress_bar

logger = logging.getLogger(__name__)  # `log` is the file of rows here

LOG = "log.jsonl"
TENSORBOARD = "tensorboard"
LOSSES = {"loss": "loss", "classification": "class", "mask": "mask", "dice": "dice"}  # in the bar

Row = dict[str, float]
"""A row of the log as it is read: `step`, and values by name; NaN if a number was not finite."""


class TrainingLog:
    """The `log.jsonl` and the TensorBoard files of a training, open to be written.

    A training that goes on continues them. Rows of steps after its saved state are dropped, because
    these steps come again, and so is a torn line.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / LOG
        self._curves = folder / TENSORBOARD
        with explained(folder, TrainingError):
            make_folder(folder)
        for name in (LOG, TENSORBOARD):
            refuse_links(folder, name, TrainingError)
        keep_rows_until(self.path, steps_done)
        with explained(self.path, TrainingError):
            self.path.touch()
        with explained(self._curves, TrainingError):
            # TensorBoard forgets older points of this step and later ones.
            self._writer = SummaryWriter(str(self._curves), purge_step=steps_done + 1)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step; a kill after this returns loses none of them.

        Args:
            values: NaN and infinity become null in the file, because JSON cannot hold them.
        """
        # Not "a", which would make the log anew where somebody has moved the folder away.
        with explained(self.path, TrainingError), self.path.open("r+", encoding="utf-8") as file:
            file.seek(0, os.SEEK_END)
            file.write(_line({"step": step, **values}))
        with explained(self._curves, TrainingError):
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Close the TensorBoard files."""
        with explained(self._curves, TrainingError):
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_rows(log: Path) -> list[Row]:
    """Return the rows of a log, oldest first; lines that are not rows (torn ones) are left out."""
    if not log.exists():
        return []
    if not log.is_file():
        raise TrainingError(f"{log}: is no file; move it away and give the same command again")
    lines = read_regular(log, TrainingError).decode(errors="replace").splitlines()
    return [row for line in lines if (row := _row(line)) is not None]


def keep_rows_until(log: Path, steps_done: int) -> None:
    """Drop the rows of later steps, and lines that are not rows."""
    if log.exists():
        kept = [_line(row) for row in read_rows(log) if row["step"] <= steps_done]
        atomic_write(log, "".join(kept).encode(), error=TrainingError)


def _line(row: Mapping[str, float]) -> str:
    finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
    return json.dumps(finite, allow_nan=False) + "\n"


def _row(line: str) -> Row | None:
    try:
        row = parse_json(line, "a line", TrainingError)
    except TrainingError:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        return None
    if not all(isinstance(value, int | float | None) for value in row.values()):
        return None
    return {name: math.nan if value is None else value for name, value in row.items()}


@contextmanager
def shown_steps(
    total: int, done: int, progress: bool
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Show a progress bar; yield a function to call with the steps done and the losses, if known.

    Args:
        total: steps of the whole training.
        done: steps of earlier runs; they do not count for the time left.
        progress: False shows no bar.
    """
    look = "step {n_fmt}/{total_fmt} |{bar}| {remaining} left{postfix}"  # fits 80 columns

    def on_step(steps_done: int, losses: Mapping[str, float]) -> None:
        terms = [f"{short} {losses[name]:.2f}" for name, short in LOSSES.items() if name in losses]
        if terms:
            bar.set_postfix_str(" ".join(terms), refresh=False)
            logger.debug("step %d of %d: %s", steps_done, total, " ".join(terms))
        bar.update(steps_done - bar.n)

    shown = progress_bar(total, show=progress, done=done, unit="step", bar_format=look)
    with shown as bar:
        yield on_step
