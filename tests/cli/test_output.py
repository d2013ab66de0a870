"""What is printed, whatever names images and classes have."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.cli import main
from frozenseg_label.cli.output import escaped, print_columns, print_table, say
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Category, Vocabulary

RED = "\x1b[31mcat\x07\x9b1m"
ODD = "cat\x1fdog"  # a vocabulary takes it: to Python it is white space


def test_control_characters_are_shown_not_obeyed() -> None:
    assert escaped(RED) == r"\x1b[31mcat\x07\x9b1m"
    assert escaped("line\nend\ttab\u2028\udcff") == r"line\nend\ttab\u2028\udcff"


def test_words_of_any_language_stay_as_they_are() -> None:
    for word in ("Füße", "猫", "می‌خواهم", "👩‍🌾"):
        assert escaped(word) == word


def test_lines_columns_and_tables_hold_nothing_that_steers_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say(f"{RED}\nsecond line")
    print_columns([("name", "words"), (RED, RED)])
    print_table(("class", "number"), [(RED, "1")], title=RED)
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x07\x9b")
    assert said.count(r"\x1b[31mcat") == 5
    assert "\nsecond line\n" in said


@pytest.fixture
def nasty_set(tmp_path: Path) -> Path:
    """Labels of one image whose name would turn a terminal red, and a class with an odd blank."""
    name = f"{RED}.jpg"
    ids = np.array([[1, 1]], dtype=np.int32)
    write_panoptic_png(tmp_path / "panoptic" / png_name(name), ids)
    segment = Segment(1, 1, True, 2, (0, 0, 2, 1))
    annotation = PanopticAnnotation(1, name, png_name(name), 2, 1, (segment,))
    words = Vocabulary("words", (Category(ODD, 1),))
    write_coco_panoptic(tmp_path / "panoptic.json", words, [annotation])
    return tmp_path


def test_no_table_message_or_error_passes_on_what_a_name_holds(nasty_set: Path) -> None:
    vocabulary = nasty_set / "words.txt"
    vocabulary.write_text(f"{ODD}\n{ODD}x\n", encoding="utf-8")
    program = (
        "from frozenseg_label.cli import main\n"
        f"main(['evaluate', {str(nasty_set)!r}, {str(nasty_set)!r}])\n"
        f"main(['evaluate', {str(nasty_set / RED)!r}, {str(nasty_set)!r}])\n"
        f"main(['vocab', 'show', {str(vocabulary)!r}])\n"
        f"main(['vocab', 'check', {RED!r}])\n"
        f"main(['--{RED}'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    said = (done.stdout + done.stderr).decode()
    assert r"\x1b[31mcat" in said
    assert r"cat\x1fdog" in said
    assert not set(said) & set("\x1b\x07\x9b\x1f")


def test_names_in_json_are_escaped_by_json(
    nasty_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(nasty_set), str(nasty_set), "--json"]) == 0
    assert "\x1b" not in capsys.readouterr().out
