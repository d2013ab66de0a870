"""What commands print: lines, tables and JSON, and their exit codes (DESIGN.md, section 4)."""

import json
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

FINISHED_WITH_FAILURES = 3  # some images failed, the others are done
GATE_FAILED = 4  # a quality gate
INTERRUPTED = 130

SCHEMA_VERSION = 1
WIDTH = 100  # characters of a table's line, where no terminal says how many fit
LEAST_WORDS = 16  # characters that a column of words keeps, if it has so many
LEAST_LAST = 20  # characters of a last cell, below which breaking it helps nobody
GAP = 2  # blanks between two columns
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
    """Print rows with their cells in columns.

    On a terminal the last cell is broken between words and goes on below itself; elsewhere each row
    is one line.
    """
    rows = [tuple(map(escaped, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    indent = sum(widths[:-1]) + GAP * len(widths[:-1])
    room = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else 0
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        *first, last = cells
        lines = [last]
        if room >= LEAST_LAST:  # paths and addresses stay whole, to be copied
            lines = wrap(last, room, break_long_words=False, break_on_hyphens=False) or [""]
        click.echo((" " * GAP).join([*first, lines[0]]).rstrip())
        for line in lines[1:]:
            click.echo(" " * indent + line)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: int = 1,
    title: str = "",
    total: bool = False,
) -> None:
    """Print a table that fits the terminal, and an empty line; words are broken, numbers are not.

    Where the numbers do not fit beside the words, the others follow in a table of their own.

    Args:
        columns: headings; none are shown where all are empty.
        rows: a cell for each column.
        words: how many of the columns, from the left, hold words; the others hold numbers.
        title: printed above the table.
        total: the last row is the sum of the others, and printed bold.
    """
    from rich.console import Console

    # Names of images and classes are shown as they are, brackets and colons too.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    if title:
        console.print(f"{escaped(title)}\n", style="bold", soft_wrap=True)
    cells = [tuple(map(escaped, row)) for row in (columns, *rows)]
    for places in _fitting(cells, words, console.width):
        some = [tuple(row[place] for place in places) for row in cells]
        console.print(_table(some, words, total=total))
        console.print()


def _fitting(cells: Sequence[tuple[str, ...]], words: int, width: int) -> list[list[int]]:
    """Return the columns of each table that a table is cut into; all have the columns of words."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    first = list(range(words))
    least = sum(min(widths[place], LEAST_WORDS) + GAP for place in first) - GAP
    tables, used = [[*first]], least
    for place in range(words, len(widths)):
        if used + GAP + widths[place] > width and len(tables[-1]) > words:
            tables.append([*first])
            used = least
        tables[-1].append(place)
        used += GAP + widths[place]
    return tables


def _table(cells: Sequence[tuple[str, ...]], words: int, *, total: bool) -> "Table":
    """Return a table of a heading and rows; the arguments are those of `print_table`."""
    from rich.cells import cell_len
    from rich.table import Table

    columns, *rows = cells
    table = Table(box=None, pad_edge=False, show_header=any(columns), padding=(0, GAP // 2))
    for place, column in enumerate(columns):
        widest = max(cell_len(row[place]) for row in cells)
        if place < words:
            table.add_column(column, overflow="fold", min_width=min(widest, LEAST_WORDS))
        else:
            table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if total:
        table.rows[-1].style = "bold"
    return table
