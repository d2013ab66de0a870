"""The curves of a training can be drawn from any log."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.training.loop.curves import draw_curves, smooth

LOSSES: dict[str, float | None] = {
    "loss": 50.0,
    "classification": 1.0,
    "mask": 0.2,
    "dice": 0.5,
    "learning_rate": 1e-4,
}
NOT_FINITE: dict[str, float | None] = dict.fromkeys(LOSSES)


def draw(folder: Path, rows: Sequence[Mapping[str, float | None]]) -> NDArray[np.uint8]:
    """Return the four panels of the picture, [2, 2, 400, 600, 3]."""
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw_curves(folder / "log.jsonl", folder / "curves.png")
    pixels = np.asarray(Image.open(folder / "curves.png").convert("RGB"))
    return pixels.reshape(2, 400, 2, 600, 3).swapaxes(1, 2)


def colored(panel: NDArray[np.uint8]) -> int:
    """Count the pixels that are not grey: points, lines and legends."""
    return int((np.ptp(panel.astype(int), axis=-1) > 60).sum())


def test_losses_and_quality_are_drawn_each_in_its_panel(tmp_path: Path) -> None:
    rows = [{"step": step, **LOSSES} for step in range(1, 50)]
    before = draw(tmp_path, rows)
    after = draw(tmp_path, [*rows, {"step": 25, "held out PQ": 20.0}, {"step": 49, "probe PQ": 3}])
    assert colored(before[0, 0]) > 200
    assert colored(before[0, 1]) > 200
    assert colored(before[1, 0]) == 0
    assert colored(after[1, 0]) > 50
    assert colored(after[1, 1]) == colored(before[1, 1])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"step": 20, **LOSSES}],
        [{"step": 0, "held out PQ": 20.0}],
        [{"step": 1, **NOT_FINITE}, {"step": 2, **NOT_FINITE}],
        [{"step": 1, "held out PQ": None}, {"step": 2, "seconds": 3.0}],
    ],
    ids=["empty", "one row", "evaluated only", "nothing finite", "nothing to draw"],
)
def test_a_picture_is_drawn_of_any_log(tmp_path: Path, rows: list[dict[str, float | None]]) -> None:
    assert draw(tmp_path, rows).std() > 0


def test_a_single_row_shows_a_point_of_each_loss(tmp_path: Path) -> None:
    single = draw(tmp_path, [{"step": 20, **LOSSES}])
    nothing = draw(tmp_path, [])
    for panel in range(2):
        assert colored(single[0, panel]) > colored(nothing[0, panel]) + 20


def test_values_that_are_not_finite_leave_the_others_as_they_are(tmp_path: Path) -> None:
    rows = [{"step": step, **LOSSES} for step in range(1, 20)]
    gap: dict[str, float | None] = {"step": 10, "loss": None, "mask": None}
    with_gap = [*rows[:9], gap, *rows[9:]]
    assert (draw(tmp_path, with_gap) == draw(tmp_path, rows)).all()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_a_smooth_line_stays_among_its_points(values: list[float]) -> None:
    line = smooth(np.array(values))
    assert line.shape == (len(values),)
    assert line.min() >= min(values) - 1e-9
    assert line.max() <= max(values) + 1e-9


def test_smoothing_averages_neighbours_and_leaves_a_few_points_alone() -> None:
    few = np.array([3.0, 1.0, 2.0])
    assert smooth(few).tolist() == [3.0, 1.0, 2.0]
    alternating = np.tile([0.0, 2.0], 100)
    assert np.abs(smooth(alternating) - 1).max() < 0.2
