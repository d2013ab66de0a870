"""What options have in common: where their values come from, and -q and -v.

Defaults are those of the Python function that a command calls. `frozenseg-label.toml` and the
environment change them, by the options' names.
"""

import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

from frozenseg_label.cli.output import escaped_lines
from frozenseg_label.documents import read_toml, shortened
from frozenseg_label.errors import FrozenSegLabelError

PREFIX = "FROZENSEG_LABEL"

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_LOGGER = logging.getLogger("frozenseg_label")
_LEVELS = {"quiet": logging.ERROR, "verbose": logging.DEBUG}


def default_of(function: Callable[..., Any], parameter: str) -> Any:  # noqa: ANN401 - any default
    """Return the default of one parameter of a function."""
    return inspect.signature(function).parameters[parameter].default


def option_of(
    function: Callable[..., Any],
    name: str,
    **settings: Any,  # noqa: ANN401 - whatever click.option takes
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a click option whose default is that of the function's parameter of the same name."""
    parameter = settings.pop("parameter", name.lstrip("-").replace("-", "_"))
    return click.option(
        name,
        parameter,
        default=default_of(function, parameter),
        show_default=True,
        **settings,
    )


def verbosity_options(command: Decorated) -> Decorated:
    """Give a command -q and -v; all messages go through the package's loggers to stderr."""
    for option in (
        _level_option("-v", "--verbose", help="Print details of what is done."),
        _level_option("-q", "--quiet", help="Print only errors, and no progress bar."),
    ):
        command = option(command)
    return command


def _level_option(*names: str, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002
    return click.option(*names, is_flag=True, expose_value=False, callback=_set_level, help=help)


def start_messages() -> None:
    """Send messages to stderr; -q and -v change which ones."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Escaped("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    _LOGGER.setLevel(logging.INFO)


class _Escaped(logging.Formatter):
    """Messages in which no name of an image or a class can steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message of a record."""
        return escaped_lines(super().format(record))


def is_quiet() -> bool:
    """Return whether only errors are wanted."""
    return not _LOGGER.isEnabledFor(logging.INFO)


def _set_level(_ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        _LOGGER.setLevel(_LEVELS[option.name or ""])


def name_variables(command: click.Command, place: str) -> None:
    """Name environment variables after options, also where a parameter has another name.

    Click would name them after parameters: FROZENSEG_LABEL_ANNOTATE_FORMATS for `--format`.

    Args:
        place: name of the command, after that of its group if it has one.
    """
    for name, option in _options(command).items():
        if name != option.name:
            option.envvar = f"{PREFIX}_{place}_{name}".upper().replace("-", "_")
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            name_variables(part, f"{place}_{name}")


def read_settings(path: Path, ctx: click.Context) -> dict[str, Any]:
    """Return the values in a settings file; keys are option names with - or _.

    Args:
        ctx: context of the whole command line.

    Returns:
        A default map for click: command -> parameter -> value.
    """
    if not path.exists():
        return {}
    table = read_toml(path, FrozenSegLabelError)
    return _default_map(ctx.command, table, ctx, f"{path}: ")


def _default_map(
    command: click.Command, table: Mapping[str, Any], ctx: click.Context, place: str
) -> dict[str, Any]:
    """Return a table as click's default map; FrozenSegLabelError if a key is no option or command.

    Args:
        place: the file and the table's name, with which an error begins.
    """
    values: dict[str, Any] = {}
    if isinstance(command, click.Group):
        for name, content in table.items():
            part, known = command.get_command(ctx, name), command.list_commands(ctx)
            if not isinstance(content, dict):
                raise FrozenSegLabelError(
                    f"{place}{name!r} belongs below the name of a command in brackets; "
                    f"there are {', '.join(known)}"
                )
            if part is None:
                raise FrozenSegLabelError(_no_such(place, "table", name, known))
            values[name] = _default_map(part, content, ctx, f"{place}[{name}] ")
        return values
    options = _options(command)
    for key, value in table.items():
        option = options.get(key.replace("-", "_"))
        if option is None:
            known = [name.replace("_", "-") for name in options]
            raise FrozenSegLabelError(_no_such(place, "option", key, known))
        is_single = option.multiple and isinstance(value, str)
        values[option.name or key] = [value] if is_single else value
    return values


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return a command's options by their names: `--min-score` is min_score."""
    options = (option for option in command.params if isinstance(option, click.Option))
    return {max(option.opts, key=len).lstrip("-").replace("-", "_"): option for option in options}


def _no_such(place: str, kind: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name[:100].replace("_", "-"), known, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"{place}no {kind} {shortened(name)} is known; {remedy}"
