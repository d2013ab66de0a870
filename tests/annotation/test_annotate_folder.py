"""The Python function says what it does not take, before it writes anything."""

from pathlib import Path
from typing import Any

import pytest

from frozenseg_label import annotate


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("precision", "fp16"),
        ("limit", 0),
        ("batch_size", 0),
        ("max_pixels", -1),
        ("min_score", 1.5),
        ("min_score", float("nan")),
        ("max_failure_rate", -0.1),
        ("formats", "class-png"),
        ("formats", ["class-png", "yolo"]),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_value(
    tmp_path: Path,
    argument: str,
    value: Any,  # noqa: ANN401 - of any type, that is the point
) -> None:
    told = value[-1] if isinstance(value, list) else value
    with pytest.raises(ValueError, match=f"{argument} .*{told}"):
        annotate(tmp_path, tmp_path / "out", "stickers", **{argument: value})
    assert not list(tmp_path.iterdir())
