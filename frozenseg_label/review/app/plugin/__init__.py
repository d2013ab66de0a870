"""Buttons for FiftyOne's App. Each works from the keyboard, too: `, the button's name, Enter.

FiftyOne loads this file by its path, in the process of the App's server. An operator asks, acts and
tells (`operators/`); `buttons.py` has what it does to the dataset.
"""

from typing import Any

from frozenseg_label.review.app.operators.editing import (
    Convert,
    Merge,
    Note,
    Relabel,
    Save,
    Split,
    TakeSecond,
    Undo,
)
from frozenseg_label.review.app.operators.judging import (
    AcceptAbove,
    AcceptImage,
    AcceptNext,
    AcceptSegments,
    NextSegment,
    ProposeAgain,
    RejectImage,
    RejectNext,
    RejectSegments,
    SecondNext,
)
from frozenseg_label.review.app.operators.progress_panel import ProgressPanel


def register(plugin: Any) -> None:  # noqa: ANN401 - FiftyOne gives its type no public name
    """Register all operators; FiftyOne calls this."""
    for operator in (  # in the order of the operator browser
        AcceptNext,
        RejectNext,
        SecondNext,
        NextSegment,
        Note,
        AcceptSegments,
        RejectSegments,
        ProposeAgain,
        Undo,
        AcceptImage,
        RejectImage,
        AcceptAbove,
        Relabel,
        TakeSecond,
        Convert,
        Merge,
        Split,
        Save,
    ):
        plugin.register(operator)
    plugin.register(ProgressPanel)
