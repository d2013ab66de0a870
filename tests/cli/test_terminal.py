"""What a person sees in a terminal of some width; a real pseudo-terminal, no imitation."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from frozenseg_label.cli import main
from frozenseg_label.demo.write_demo import write_demo

STYLES = re.compile(r"\x1b\[[0-9;]*m")
WIDTHS = (80, 100, 200)
COMMANDS = (
    ("evaluate", "labels", "truth"),
    ("vocab", "list"),
    ("vocab", "show", "cityscapes-19"),
    ("weights", "list"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstration images, their truth and the embedded model's labels."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder / "pictures", count=2, truth=folder / "truth", size=128)
    pictures, labels = str(folder / "pictures"), str(folder / "labels")
    assert main(["annotate", pictures, "--vocab", "stickers", "-o", labels, "-q"]) == 0
    return folder


def in_terminal(folder: Path, columns: int) -> list[list[str]]:
    """Return the lines that each of COMMANDS shows in a terminal of so many columns."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, columns))
    program = (
        "import sys; from frozenseg_label.cli import main\n"
        f"for words in {COMMANDS!r}:\n"
        "    assert main(words) == 0\n"
        "    sys.stdout.write('=====\\n')\n"
    )
    unset = ("COLUMNS", "LINES", "NO_COLOR")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=env | {"TERM": "xterm"},
    ) as process:
        os.close(slave)
        try:
            while part := os.read(master, 65536):
                shown += part
        except OSError:  # Linux says so when the last writer has closed
            pass
        finally:
            os.close(master)
    assert process.returncode == 0, shown.decode()
    text = STYLES.sub("", shown.decode()).replace("\r\n", "\n")
    return [part.splitlines() for part in text.split("=====\n")[:-1]]


@pytest.mark.parametrize("columns", WIDTHS)
def test_every_table_is_readable_in_terminals_of_all_widths(
    folder: Path, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate, vocab_list, vocab_show, weights_list = in_terminal(folder, columns)
    for lines in (evaluate, vocab_list, vocab_show):
        assert all(len(line) <= columns for line in lines if "%" not in line)  # no sentences
    assert main(["evaluate", str(folder / "labels"), str(folder / "truth"), "--json", "-q"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["groups"]["all"]["ap"] is not None
    first_words = [line.split()[0] for line in evaluate if line.strip()]
    for row in report["classes"]:
        assert row["name"].split()[0] in first_words
    tops = [line.split() for line in evaluate if line.startswith("class ")]
    numbers = [word for top in tops for word in top if word not in ("class", "kind", "seen")]
    assert numbers == ["found", "missed", "extra", "PQ", "SQ", "RQ", "IoU", "edge", "AP", "rec.5"]
    assert all(top[:3] == ["class", "kind", "seen"] for top in tops)
    assert len(tops) == (2 if columns == 80 else 1)
    assert any(line.split()[:2] == ["stickers", "181"] for line in vocab_list)
    beside = [line for line in vocab_show if re.match(r" *\d+ +(thing|stuff) ", line)]
    assert len(beside) == 19
    at = vocab_show[0].index("names")
    assert all(not line[:at].strip() for line in vocab_show[1:] if line not in beside)
    assert {line.split()[0] for line in weights_list} >= {"nano", "convnext-large", "rn50x64"}
    assert all(len(line) <= columns or "://" in line for line in weights_list)
