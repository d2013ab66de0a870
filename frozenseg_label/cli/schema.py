"""`frozenseg-label schema`: shows what a command prints with --json, as a JSON Schema."""

import json

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.json_forms import FORMS, schema_of


@click.command(cls=HelpfulCommand, context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def schema(command: tuple[str, ...]) -> None:
    """Show what COMMAND prints with --json, as a JSON Schema.

    Without COMMAND, list those that have one.
    """
    name = " ".join(command)
    if name and name not in FORMS:
        raise click.UsageError(f"there is no schema of {name!r}; there are: {', '.join(FORMS)}")
    click.echo(json.dumps(schema_of(name), indent=2) if name else "\n".join(FORMS))
