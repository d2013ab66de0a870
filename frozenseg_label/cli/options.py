"""What options have in common: where their values come from, and -q and -v.

Defaults are those of the Python function that a command calls. `frozenseg-label.toml` and the
environment change them, by the options' names.
"""

import inspect
import logging
import sys
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

from frozenseg_label.cli.output import escaped_lines
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
    """Make a click option whose default is that of the function's parameter of its name."""
    parameter = settings.pop("parameter", name.lstrip("-").replace("-", "_"))
    return click.option(
        name,
        parameter,
        default=default_of(function, parameter),
        show_default=True,
        **settings,
    )


def verbosity_options(command: Decorated) -> Decorated:
    """Give a command -q and -v; all messages go through the package's loggers, to stderr."""
    for option in (
        _level_option("-v", "--verbose", help="Say more about what is done."),
        _level_option("-q", "--quiet", help="Errors only, and no progress bar."),
    ):
        command = option(command)
    return command


def _level_option(*names: str, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002
    return click.option(*names, is_flag=True, expose_value=False, callback=_set_level, help=help)


def start_messages() -> None:
    """Send messages to stderr; -q and -v change which, for the one command line that has them."""
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
    """Whether the person wants errors only."""
    return not _LOGGER.isEnabledFor(logging.INFO)


def _set_level(_ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        _LOGGER.setLevel(_LEVELS[option.name or ""])


def name_variables(command: click.Command, place: str) -> None:
    """Let a variable have the option's name where the parameter has another one.

    Click makes variables of parameters' names: FROZENSEG_LABEL_ANNOTATE_FORMATS, of `--format`.

    Args:
        place: name of the command; of one in a group, after the group's.
    """
    for name, option in _options(command).items():
        if name != option.name:
            option.envvar = f"{PREFIX}_{place}_{name}".upper().replace("-", "_")
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            name_variables(part, f"{place}_{name}")


def read_settings(path: Path, ctx: click.Context) -> dict[str, Any]:
    """Read a table for each command that has one; keys are option names with - or _.

    Args:
        ctx: of the whole command line.

    Returns:
        A default map for click: command -> parameter -> value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FrozenSegLabelError(
            f"{path} cannot be read, {error.strerror}; mend or remove it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FrozenSegLabelError(
            f"{path} is not valid TOML: {error}; mend or remove it"
        ) from error
    return _default_map(ctx.command, table, ctx, f"{path}: ")


def _default_map(
    command: click.Command, table: Mapping[str, Any], ctx: click.Context, place: str
) -> dict[str, Any]:
    """Translate a table; FrozenSegLabelError where a key is no option or no command.

    Args:
        place: what an error begins with: the file and the table's name.
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
        alone = option.multiple and isinstance(value, str)
        values[option.name or key] = [value] if alone else value
    return values


def _options(command: click.Command) -> dict[str, click.Option]:
    """A command's options by the names that people know them by: `--min-score` is min_score."""
    options = (option for option in command.params if isinstance(option, click.Option))
    return {max(option.opts, key=len).lstrip("-").replace("-", "_"): option for option in options}


def _no_such(place: str, kind: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name.replace("_", "-"), known, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"{place}no {kind} {name!r} is known; {remedy}"
