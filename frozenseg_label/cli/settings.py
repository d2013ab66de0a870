"""Option values from `frozenseg-label.toml` and from the environment, by the options' names."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from frozenseg_label.documents import read_toml, shortened
from frozenseg_label.errors import FrozenSegLabelError

PREFIX = "FROZENSEG_LABEL"


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
    if not path.exists():
        return {}
    table = read_toml(path, FrozenSegLabelError)
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
    near = get_close_matches(name[:100].replace("_", "-"), known, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"{place}no {kind} {shortened(name)} is known; {remedy}"
