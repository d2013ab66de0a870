"""The command line: reads options and prints messages. A command's file is imported when called."""

import importlib
import io
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from frozenseg_label.cli.help import COMPLETION
from frozenseg_label.cli.messages import close_log_files, start_messages, tell_end
from frozenseg_label.cli.options import (
    CONFIG_FILE,
    PREFIX,
    name_variables,
    origin_of,
    read_settings,
    verbosity_options,
    warn_of_unknown_variables,
)
from frozenseg_label.cli.output import INTERRUPTED
from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.version import __version__

EXIT_CODES = f"""\b
Exit codes:
  0    success
  1    error
  2    usage: an option or an argument is wrong
  3    finished, but some images failed
  4    a quality limit was not reached, or a training forgot too much
  {INTERRUPTED}  interrupted; what was finished is kept
"""

# name -> one line of help; the module of the same name in this folder holds a function of that name
COMMANDS = {
    "annotate": "Label folders of images.",
    "calibrate": "Learn from reviewed segments which others need no look.",
    "demo": "Write demonstration images of the nano world.",
    "doctor": "Check what works on this machine, and say how to repair the rest.",
    "evaluate": "Measure labels against true ones, or a model against its reviewer.",
    "export": "Export labels for another tool.",
    "import": "Import labels that were corrected in another tool.",
    "relabel": "Label a run by other words, in seconds.",
    "review": "Correct labels in FiftyOne, and save the corrections.",
    "schema": "Show what a command prints with --json, as a JSON Schema.",
    "train": "Train the decoder on corrected labels.",
    "vocab": "List, show, check, create, map and merge vocabularies.",
    "weights": "List, fetch, convert and verify model files.",
}
MODULES = {"import": "import_labels"}  # where the command's name is a keyword of Python


class LazyGroup(click.Group):
    """A group that imports a command only when it is asked for, so that `--help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None where there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        name = MODULES.get(cmd_name, cmd_name)
        module = importlib.import_module(f"frozenseg_label.cli.{name}")
        command: click.Command = getattr(module, name)
        name_variables(command, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, or fail with a list of all."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"no command {name!r}; there are {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    epilog=f"{EXIT_CODES}\n{COMPLETION}",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": PREFIX,
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="frozenseg-label")
@verbosity_options
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Label image folders with your own words, with the FrozenSeg panoptic model.

    Options are read from the command line, else from environment variables
    FROZENSEG_LABEL_COMMAND_OPTION, else from frozenseg-label.toml in the working folder (one table
    for each command), else the defaults are used.
    """
    warn_of_unknown_variables(ctx)
    ctx.default_map = read_settings(Path(CONFIG_FILE), ctx)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (DESIGN.md, section 4)."""
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a polite kill stops as cleanly as Ctrl-C
    for stream in (sys.stdout, sys.stderr):  # words that the terminal cannot show are escaped
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    start_messages()
    code = None
    try:
        code = _run(arguments)
    finally:
        close_log_files(arguments, code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit code; errors that people can mend are told."""
    try:
        code = commands.main(arguments, prog_name="frozenseg-label", standalone_mode=False)
    except FrozenSegLabelError as error:
        tell_end(f"Error: {error}")
        return 1
    except click.ClickException as error:
        usage = io.StringIO()
        error.show(usage)
        tell_end(f"{usage.getvalue().rstrip()}\n{origin_of(error)}".rstrip())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        tell_end("Interrupted; what was finished is kept.")
        return INTERRUPTED
    return code if isinstance(code, int) else 0
