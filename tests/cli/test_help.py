"""Help is instant, and says the defaults that Python has."""

import inspect
import subprocess
import sys

import click
import pytest

from frozenseg_label.annotation.annotate_folder import annotate
from frozenseg_label.cli import COMMANDS, commands, main

HEAVY = ("torch", "numpy", "pydantic", "open_clip", "PIL", "rich")


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys\nfrom frozenseg_label.cli import main\n"
        f"code = main([*{arguments!r}, '--help'])\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.splitlines()[-1] == "HEAVY [] 0"


def test_every_option_of_annotate_has_the_default_of_the_python_function() -> None:
    context = click.Context(commands)
    command = commands.get_command(context, "annotate")
    assert command is not None
    options = {p.name: p for p in command.params if isinstance(p, click.Option)}
    parameters = inspect.signature(annotate).parameters
    shared = parameters.keys() & options.keys() - {"output"}
    assert {"weights", "min_score", "batch_size", "max_pixels", "precision", "dry_run"} <= shared
    for name in shared - {"formats"}:  # several values: a tuple on both sides, empty
        assert options[name].get_default(context) == parameters[name].default, name
    missing = (
        parameters.keys() - options.keys() - {"images", "missing_ok", "vocabulary", "progress"}
    )
    assert not missing, f"without an option: {missing}"


def test_the_exit_codes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for line in ("0    success", "3    finished, but some images failed", "130  interrupted"):
        assert line in said
