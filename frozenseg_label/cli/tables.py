"""Plain tables on a terminal."""

from collections.abc import Sequence

import click


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Show rows with their cells one below the other; the last cell may be of any length."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
