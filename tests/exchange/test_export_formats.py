"""What is told of the formats is what the code does."""

from pathlib import Path
from typing import get_args

from frozenseg_label.exchange.export_formats import FORMATS
from frozenseg_label.exchange.export_labels import ExportForm
from frozenseg_label.exchange.export_losses import Fact

PAGE = Path(__file__).parents[2] / "recipes" / "formats.md"


def test_every_format_that_can_be_asked_for_is_written() -> None:
    assert list(FORMATS) == list(get_args(ExportForm))


def test_the_page_says_what_each_format_keeps() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    head = f"| format | {' | '.join(get_args(Fact))} |"
    rows = lines[lines.index(head) + 2 :][: len(FORMATS)]
    for row, (form, chosen) in zip(rows, FORMATS.items(), strict=True):
        name, *said = (cell.strip() for cell in row.strip("|").split("|"))
        assert name == form
        kept = {fact for fact, word in zip(get_args(Fact), said, strict=True) if word == "yes"}
        assert kept == chosen.keeps
        assert ("asked" in said) == chosen.stuff_asked
