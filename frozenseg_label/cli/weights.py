"""`frozenseg-label weights`: lists, fetches, converts and verifies model files."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from frozenseg_label.cli.completion import complete_weights
from frozenseg_label.cli.help import HelpfulGroup
from frozenseg_label.cli.json_forms import WeightsList
from frozenseg_label.cli.options import FilePath, is_quiet, verbosity_options
from frozenseg_label.cli.output import print_columns, print_json, say

log = logging.getLogger(__name__)

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=HelpfulGroup)
def weights() -> None:
    """List, fetch, convert and verify model files."""


@weights.command("list")
@as_json_option
def list_command(as_json: bool) -> None:
    """List weights by name, and say which are on this machine."""
    from frozenseg_label.checkpoints.named_weights import list_weights

    rows = list_weights()
    if as_json:
        print_json(**asdict(WeightsList(rows)))
        return
    lines = [("name", "on this machine", "size", "from")]
    for row in rows:
        here = "damaged" if row.problem else "yes" if row.here else "no"
        size = f"{row.bytes / 1e6:.1f} MB" if row.bytes else "-"
        lines.append((row.name, here, size, row.origin or row.place))
    print_columns(lines)
    for row in rows:
        if row.problem:
            say(f"\n{row.problem}")


@weights.command()
@click.argument("name", shell_complete=complete_weights)
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Show what a checkpoint contains.

    NAME is a name from `weights list`, or a file.
    """
    from frozenseg_label.checkpoints.header import read_checkpoint_info
    from frozenseg_label.checkpoints.named_weights import find_weights

    path = find_weights(name)
    info = read_checkpoint_info(path)
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "fingerprint": info.fingerprint,
        **info.model_dump(exclude={"categories"}),
    }
    if as_json:
        categories = [category.model_dump() for category in info.categories]
        print_json(**facts, categories=categories)
        return
    print_columns([(key.replace("_", " "), str(value)) for key, value in facts.items()])
    things = [c.names[0] for c in info.categories if c.is_thing]
    stuff = [c.names[0] for c in info.categories if not c.is_thing]
    say(f"\nseen in training: {len(things)} kinds of things: {', '.join(things)}")
    say(f"{len(stuff)} kinds of stuff: {', '.join(stuff)}")


@weights.command()
@click.argument("name", shell_complete=complete_weights)
@click.option("--offline", is_flag=True, help="Use only files on this machine.")
@verbosity_options
def fetch(name: str, offline: bool) -> None:
    """Download, check and convert published weights.

    Downloads from Google Drive have not been tried with this command yet. If one fails, download
    the file with a browser and use `weights convert`.
    """
    from frozenseg_label.checkpoints import downloads
    from frozenseg_label.checkpoints import named_weights as pretrained

    if name == "nano" or pretrained.is_whole(name):
        log.info("%s is here already", name)
        say(pretrained.find_weights(name))
        return
    path, digest = downloads.fetch(
        name, pretrained.downloads_folder(), offline=offline, progress=not is_quiet()
    )
    how = (
        "as published"
        if downloads.DOWNLOADS[name].sha256
        else "none is published; later fetches have to match it"
    )
    log.info("%s: SHA-256 %s (%s)", path, digest, how)
    _convert(path, pretrained.named_file(name))


@weights.command()
@click.argument("file", type=FilePath(path_type=Path))
@click.argument("name")
def add(file: Path, name: str) -> None:
    """Copy a checkpoint into the cache as NAME.

    Then it can be used as --weights NAME.
    """
    from frozenseg_label.checkpoints import named_weights as pretrained

    say(pretrained.add(file, name))


@weights.command()
@click.argument("file", type=FilePath(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=FilePath(path_type=Path, dir_okay=False),
    help="Checkpoint to write; by default in the cache, with the model's name.",
)
@verbosity_options
def convert(file: Path, output: Path | None) -> None:
    """Convert a published checkpoint (.pth).

    FrozenSeg's authors offer them for ConvNeXt-L and RN50x64. The frozen encoders are stored in the
    cache once, and shared by all checkpoints.
    """
    _convert(file, output)


@weights.command()
@click.argument("name", shell_complete=complete_weights)
@verbosity_options
def verify(name: str) -> None:
    """Check all tensors of a checkpoint against their hashes.

    NAME is a name from `weights list`, or a file.
    """
    from frozenseg_label.checkpoints import named_weights as pretrained

    path = pretrained.find_weights(name)  # before torch is imported, which takes seconds
    from frozenseg_label.checkpoints.checkpoint import verify_checkpoint

    log.debug("reading %s and the frozen parts that it needs", path)
    verify_checkpoint(path, pretrained.frozen_folder())
    say(f"{path}: all hashes are correct")


def _convert(source: Path, output: Path | None) -> None:
    from frozenseg_label.checkpoints.downloads import refuse_other_files

    refuse_other_files(source)  # before torch is imported, which takes seconds
    from frozenseg_label.checkpoints.convert import convert_published

    log.info("converting %s", source)
    say(convert_published(source, output))
