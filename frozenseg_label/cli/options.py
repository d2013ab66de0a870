"""What options have in common: defaults from the Python function that they call, and -q and -v."""

import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

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
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    _LOGGER.setLevel(logging.INFO)


def is_quiet() -> bool:
    """Whether the person wants errors only."""
    return not _LOGGER.isEnabledFor(logging.INFO)


def _set_level(_ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        _LOGGER.setLevel(_LEVELS[option.name or ""])
