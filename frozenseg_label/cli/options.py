"""What options have in common: where their values come from, and -q, -v and --log-file.

Defaults are those of the Python function that a command calls. `frozenseg-label.toml` and the
environment change them, by the options' names.
"""

import inspect
import logging
import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from frozenseg_label.addresses import is_address
from frozenseg_label.cli.messages import open_log_file, want_level, wanted_level
from frozenseg_label.documents import read_toml, shortened
from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.inference.tiling import FEWEST_PIXELS, Tile

CONFIG_FILE = "frozenseg-label.toml"
PREFIX = "FROZENSEG_LABEL"

OTHER_VARIABLES = (
    "CACHE",
    "NEEDS_BROWSER",
    "BROWSER_TESTS",
)  # no options; the last two are of tests

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_LOGGER = logging.getLogger("frozenseg_label")
_LEVELS = {"quiet": logging.ERROR, "verbose": logging.DEBUG}


class FilePath(click.Path):
    """A path on this machine; an address of another one is refused.

    Args:
        addresses: an address is taken, too, and stays a text.
        options: as of `click.Path`.
    """

    def __init__(self, *, addresses: bool = False, **options: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(**options)
        self.addresses = addresses

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as in click
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - as in click
        """Return the path."""
        if is_address(f"{value}"):
            if self.addresses:
                return f"{value}"
            self.fail(
                f"{value} is an address, and a path on this machine is wanted; copy the files, or "
                "mount the place as a folder",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def tile_side(value: str) -> Tile:
    """Return the side of a tile: `auto`, or a number of pixels."""
    if value == "auto":
        return "auto"
    side: int = click.IntRange(min=FEWEST_PIXELS)(value)
    return side


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
    """Give a command -q, -v and --log-file; messages go through the package's loggers."""
    for option in (
        click.option(
            "--log-file",
            metavar="FILE",
            type=FilePath(dir_okay=False, path_type=Path),
            expose_value=False,
            callback=_open_log,
            help="Append all messages to FILE, with levels and times, also what is not shown.",
        ),
        _level_option("-v", "--verbose", help="Print details of what is done."),
        _level_option("-q", "--quiet", help="Print only errors, and no progress bar."),
    ):
        command = option(command)
    return command


def _level_option(*names: str, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002
    return click.option(*names, is_flag=True, expose_value=False, callback=_set_level, help=help)


def is_quiet() -> bool:
    """Return whether only errors are wanted."""
    return wanted_level() > logging.INFO


def _set_level(_ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        want_level(_LEVELS[option.name or ""])


def _open_log(ctx: click.Context, option: click.Parameter, path: Path | None) -> None:
    if path is not None:
        try:
            open_log_file(path)
        except OSError as error:
            problem = f"{path} cannot be written ({error.strerror}); name another file"
            raise click.BadParameter(problem, ctx, option) from error


def name_variables(command: click.Command, place: str) -> None:
    """Name environment variables after options, not after parameters, and show them in the help.

    Click would name them after parameters: FROZENSEG_LABEL_ANNOTATE_FORMATS for `--format`.

    Args:
        place: name of the command, after that of its group if it has one.
    """
    for name, option in _options(command).items():
        option.show_envvar = True
        if name != option.name:
            option.envvar = f"{PREFIX}_{place}_{name}".upper().replace("-", "_")
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            name_variables(part, f"{place}_{name}")


def warn_of_unknown_variables(ctx: click.Context) -> None:
    """Name environment variables that look like ours and that nobody would read.

    Args:
        ctx: context of the whole command line.
    """
    ours = [name.removeprefix(f"{PREFIX}_") for name in os.environ if name.startswith(f"{PREFIX}_")]
    for name in sorted(set(ours) - set(OTHER_VARIABLES)):
        known = [*OTHER_VARIABLES[:1], *_variables(ctx.command, ctx, name)]
        if name not in known:
            near = get_close_matches(name, known, n=1)
            remedy = f"; did you mean {PREFIX}_{near[0]}?" if near else ""
            _LOGGER.warning("%s_%s: no such option, it is not used%s", PREFIX, name, remedy)


def _variables(command: click.Command, ctx: click.Context, name: str) -> list[str]:
    """Return the variables of a command, without the prefix; of the subcommand that `name` means.

    The commands are imported only if a variable begins, or nearly begins, with their name.
    """
    known = [option.upper() for option in _options(command)]
    if not isinstance(command, click.Group):
        return known
    places = {part.upper().replace("-", "_"): part for part in command.list_commands(ctx)}
    first = name.split("_")[0]
    for place in get_close_matches(first, places, n=1):
        part = command.get_command(ctx, places[place])
        rest = name.removeprefix(first).lstrip("_")
        known += [f"{place}_{key}" for key in _variables(part, ctx, rest)] if part else []
    return known


def origin_of(error: click.ClickException) -> str:
    """Return a sentence that says where a bad value is from; empty for the command line."""
    option, ctx = getattr(error, "param", None), getattr(error, "ctx", None)
    if not isinstance(option, click.Option) or not isinstance(ctx, click.Context):
        return ""
    source = ctx.get_parameter_source(option.name or "")
    if source is ParameterSource.DEFAULT_MAP:
        table = ".".join(ctx.command_path.split()[1:])
        return f"The value is from {CONFIG_FILE}, table [{table}]."
    if source is ParameterSource.ENVIRONMENT:
        variable = option.envvar or f"{ctx.auto_envvar_prefix}_{option.name}".upper()
        return f"The value is from the environment variable {variable}."
    return ""


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
        if isinstance(value, dict) or (isinstance(value, list) and not option.multiple):
            raise FrozenSegLabelError(
                f"{place}{key}: one value is wanted, not {shortened(str(value))}"
            )
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
