"""What a training writes down and shows while it runs: JSON rows, TensorBoard files, a bar."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from frozenseg_label.files import atomic_write, explained, make_folder

LOG = "log.jsonl"
TENSORBOARD = "tensorboard"
LOSSES = {"loss": "loss", "classification": "class", "mask": "mask", "dice": "dice"}  # in the bar

Row = dict[str, float]
"""A row of the log as it is read: `step`, and values by name; NaN where a number was not finite."""


class TrainingLog:
    """The `log.jsonl` and the TensorBoard files of a training, open to be written.

    A training that goes on continues them: rows of steps that its saved state does not know are
    dropped, because they come again, and so is a line that was torn.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / LOG
        self._curves = folder / TENSORBOARD
        with explained(folder):
            make_folder(folder)
        keep_rows_until(self.path, steps_done)
        with explained(self._curves):
            # TensorBoard forgets older points of this step and later ones.
            self._writer = SummaryWriter(str(self._curves), purge_step=steps_done + 1)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Add what is known after a step; a kill after this returns loses none of it.

        Args:
            values: JSON has no NaN and no infinity; in the file they become null.
        """
        with explained(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step, **values}))
        with explained(self._curves):
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Let the TensorBoard files go."""
        with explained(self._curves):
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
    """Return the rows of a log, oldest first, without lines that are no row, such as a torn one."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [row for line in lines if (row := _row(line)) is not None]


def keep_rows_until(log: Path, steps_done: int) -> None:
    """Drop the rows of later steps and lines that are no row."""
    if log.exists():
        kept = [_line(row) for row in read_rows(log) if row["step"] <= steps_done]
        atomic_write(log, "".join(kept).encode())


def _line(row: Mapping[str, float]) -> str:
    finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
    return json.dumps(finite, allow_nan=False) + "\n"


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or "step" not in row:
        return None
    return {name: math.nan if value is None else value for name, value in row.items()}


@contextmanager
def shown_steps(
    total: int, done: int, progress: bool
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield what to call with the steps done so far and with the losses, if they are known.

    Args:
        total: steps of the whole training.
        done: of these, steps of earlier runs; they do not count for the time left.
        progress: False shows no bar, nor does a stderr that is no terminal.
    """
    bar = tqdm(
        total=total,
        initial=done,
        disable=None if progress and done < total else True,
        dynamic_ncols=True,
        bar_format="step {n_fmt}/{total_fmt} |{bar}| {remaining} left{postfix}",  # fits 80 columns
    )

    def on_step(steps_done: int, losses: Mapping[str, float]) -> None:
        terms = [f"{short} {losses[name]:.2f}" for name, short in LOSSES.items() if name in losses]
        if terms:
            bar.set_postfix_str(" ".join(terms), refresh=False)
        bar.update(steps_done - bar.n)

    # Messages go above the bar, not into it.
    with bar, nullcontext() if bar.disable else logging_redirect_tqdm():
        yield on_step
