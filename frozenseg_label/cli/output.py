"""What commands print: lines, tables and JSON, and their exit codes (DESIGN.md, section 4)."""

import json
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

FINISHED_WITH_FAILURES = 3  # some images failed, the others are done
GATE_FAILED = 4  # a quality gate
INTERRUPTED = 130

SCHEMA_VERSION = 1
WIDTH = 100  # characters of a table's line, where no terminal says how many fit
STEERING = {"Cc", "Cs", "Zl", "Zp"}  # control characters, odd bytes of file names, line ends


def escaped(text: str) -> str:
    r"""Return text that cannot steer a terminal: ESC in the name of a class becomes `\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in STEERING
        else character
        for character in text
    )


def escaped_lines(text: str) -> str:
    """Return text as `escaped` does, its line ends kept."""
    return "\n".join(map(escaped, text.split("\n")))


def say(text: object, *, err: bool = False) -> None:
    """Print text on stdout, or on stderr; control characters in it are escaped."""
    click.echo(escaped_lines(f"{text}"), err=err)


def command_line(*words: object) -> str:
    """Return a command of ours as one types it into a shell."""
    return shlex.join(["frozenseg-label", *map(str, words)])


def print_json(**facts: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Print facts as one JSON object with its schema version."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **facts}, default=str))


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows with their cells in columns; lines are not broken, however long the last cell."""
    rows = [tuple(map(escaped, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: int = 1,
    title: str = "",
    total: bool = False,
) -> None:
    """Print a table that fits the terminal, and an empty line; words are broken, numbers are not.

    Args:
        columns: headings; none are shown where all are empty.
        rows: a cell for each column.
        words: how many of the columns, from the left, hold words; the others hold numbers.
        title: printed above the table.
        total: the last row is the sum of the others, and printed bold.
    """
    from rich.console import Console
    from rich.table import Table

    # Names of images and classes are shown as they are, brackets and colons too.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    table = Table(box=None, pad_edge=False, show_header=any(columns))
    for place, column in enumerate(columns):
        is_word = place < words
        table.add_column(column, justify="left" if is_word else "right", no_wrap=not is_word)
    for row in rows:
        table.add_row(*map(escaped, row))
    if total:
        table.rows[-1].style = "bold"
    if title:
        console.print(f"{escaped(title)}\n", style="bold", soft_wrap=True)
    console.print(table)
    console.print()
