"""Help is instant, and says the defaults that Python has."""

import inspect
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete

from frozenseg_label.annotation.annotate_folder import annotate
from frozenseg_label.cli import COMMANDS, commands, main
from frozenseg_label.cli.help import GROUPS, long_name

PREFIX = "FROZENSEG_LABEL"
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
    for name in shared - {"formats", "memory"}:  # several values: a tuple on both sides, empty
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


def contexts() -> Iterator[click.Context]:
    """A context of each command that is no group."""
    groups = [click.Context(commands, info_name="frozenseg-label", auto_envvar_prefix=PREFIX)]
    while groups:
        group = groups.pop()
        assert isinstance(group.command, click.Group)
        for name in group.command.list_commands(group):
            command = group.command.get_command(group, name)
            assert command is not None
            settings = command.context_settings | {"terminal_width": 80}
            context = click.Context(command, parent=group, info_name=name, **settings)
            if isinstance(command, click.Group):
                groups.append(context)
            else:
                yield context


CONTEXTS = {context.command_path.partition(" ")[2]: context for context in contexts()}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_help_fits_80_columns_and_shows_two_examples_and_the_variable_of_each_option(
    context: click.Context,
) -> None:
    shown = context.get_help()
    assert max(map(len, shown.splitlines())) <= 80
    lines = [line.strip() for line in shown.splitlines()]
    examples = [line for line in lines if line.startswith(context.command_path)]
    assert len(examples) >= 2
    for example in examples:  # the options exist
        words = shlex.split(example)[len(context.command_path.split()) :]
        context.command.make_parser(context).parse_args(words)
    for option in context.command.params:
        if isinstance(option, click.Option):
            place = context.command_path.removeprefix("frozenseg-label ")
            variable = f"{PREFIX} {place} {long_name(option)}".upper()
            assert variable.replace(" ", "_").replace("-", "_") in shown


def test_groups_have_every_option_and_no_other() -> None:
    for name, groups in GROUPS.items():
        options = set(map(long_name, CONTEXTS[name].command.params))
        for names in groups.values():
            assert set(names) <= options, name
        assert "Other options" not in CONTEXTS[name].get_help(), name


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("annotate photos --vocab sti", ["stickers"]),
        ("annotate photos --vocab mine.y", ["file: mine.y"]),
        ("annotate photos --weights rn", ["rn50x64"]),
        ("train labels --recipe fine_tune", ["fine_tune", "fine_tune_cached"]),
        ("train labels --vocab ade20k-1", ["ade20k-150"]),
        ("vocab show coco-p", ["coco-panoptic-133"]),
        ("weights verify na", ["nano"]),
        ("weig", ["weights"]),
    ],
)
def test_tab_offers_names_and_else_files(line: str, offered: list[str]) -> None:
    *words, begun = line.split()
    completer = ShellComplete(commands, {}, "frozenseg-label", "_FROZENSEG_LABEL_COMPLETE")
    found = completer.get_completions(words, begun)
    assert [i.value if i.type == "plain" else f"{i.type}: {i.value}" for i in found] == offered


def test_bash_gets_completions_from_the_program() -> None:
    asked = {
        "_FROZENSEG_LABEL_COMPLETE": "bash_complete",
        "COMP_WORDS": "frozenseg-label annotate --vocab sti",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-m", "frozenseg_label"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "plain,stickers\n"
