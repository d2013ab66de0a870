"""Options take their defaults from the Python function that they call."""

import inspect
from collections.abc import Callable
from typing import Any

import click


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
