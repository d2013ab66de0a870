"""Words and tables of a report, as text that a page can show whatever is in it."""

import math
from dataclasses import dataclass
from html import escape

NOTHING = "\N{EN DASH}"

Cell = str | int | float | None


@dataclass(frozen=True)
class ReportTable:
    """A table above the images.

    Attributes:
        title: above it.
        columns: their headings.
        rows: a cell for each column; None or NaN for an empty one.
        note: a sentence below it.
        digits: of floats, after the point; integers have none.
        folded: the table is closed until somebody opens it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    digits: int = 1
    folded: bool = False


def table_html(table: ReportTable) -> str:
    """Return the table as HTML that opens and closes without a script."""
    head = "".join(f'<th scope="col">{escape(plain_text(column))}</th>' for column in table.columns)
    body = "\n".join(_table_row(row, table.digits) for row in table.rows)
    note = f"<p>{escape(plain_text(table.note))}</p>\n" if table.note else ""
    return (
        f'<details class="table"{"" if table.folded else " open"}>'
        f"<summary>{escape(plain_text(table.title))}</summary>\n"
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>\n{note}</details>\n"
    )


def _table_row(row: tuple[Cell, ...], digits: int) -> str:
    first, *others = row
    cells = [f'<th scope="row">{escape(cell_text(first, digits))}</th>']
    for cell in others:
        tag = '<td class="words">' if isinstance(cell, str) else "<td>"
        cells.append(f"{tag}{escape(cell_text(cell, digits))}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def cell_text(value: Cell, digits: int) -> str:
    """Return a value as people read it; a dash if there is none."""
    if isinstance(value, str):
        return plain_text(value)
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value:.{digits}f}" if isinstance(value, float) else f"{value:,}"


def plain_text(text: str) -> str:
    r"""Return text that is valid Unicode: other bytes of a file name become `\udcff`."""
    return text.encode(errors="backslashreplace").decode()
