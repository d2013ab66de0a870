"""What commands have in common when they end: exit codes (DESIGN.md, section 4), JSON, columns."""

import json
from collections.abc import Sequence
from typing import Any

import click

FINISHED_WITH_FAILURES = 3  # some images failed, the others are done
GATE_FAILED = 4  # a quality gate
INTERRUPTED = 130

SCHEMA_VERSION = 1


def print_json(**facts: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Print facts as one JSON object with its schema version."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **facts}, default=str))


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Show rows with their cells one below the other; the last cell may be of any length."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
