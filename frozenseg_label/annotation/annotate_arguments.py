"""Which arguments `annotate` takes; a call with others fails before anything is written."""

from collections.abc import Sequence
from typing import Literal, get_args

Format = Literal["class-png", "per-class-png"]
Precision = Literal["auto", "fp32", "bf16"]
FORMATS: tuple[str, ...] = get_args(Format)
PRECISIONS: tuple[str, ...] = get_args(Precision)


def check_arguments(
    *,
    formats: Sequence[str],
    precision: str,
    shares: dict[str, float],
    counts: dict[str, int | None],
) -> None:
    """Raise ValueError with the name and the value of what cannot be meant.

    Args:
        shares: arguments by name that have to be in 0..1.
        counts: arguments by name that have to be at least 1; None is no limit.
    """
    if isinstance(formats, str):
        raise ValueError(  # noqa: TRY004 - one kind of error for every argument
            f"formats must be a list of names, got the one text {formats!r}"
        )
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"formats can hold {', '.join(FORMATS)}, got {name!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    for name, share in shares.items():
        if not 0 <= share <= 1:  # so that "not a number" fails, too
            raise ValueError(f"{name} must be in 0..1, got {share}")
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
