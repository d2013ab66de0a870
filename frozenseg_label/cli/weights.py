"""`frozenseg-label weights`: which model files there are, and how they come here."""

import json
from pathlib import Path
from typing import Any

import click

SCHEMA_VERSION = 1

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def weights() -> None:
    """List, fetch, convert and verify model files."""


@weights.command("list")
@as_json_option
def list_command(as_json: bool) -> None:
    """List the weights that can be used by name, and whether they are on this machine."""
    from frozenseg_label.model import pretrained

    rows = [{"name": "nano", "here": True, "from": "embedded in the package"}]
    for name, download in pretrained.DOWNLOADS.items():
        place = f"Google Drive {download.drive_id}" if download.drive_id else download.url
        here = pretrained.named_file(name) if download.builder else pretrained.download_file(name)
        rows.append({"name": name, "here": here.is_file(), "from": place})
    rows += [
        {"name": name, "here": True, "from": "added"}
        for name in pretrained.added_names()
        if name not in pretrained.DOWNLOADS
    ]
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "weights": rows}))
        return
    _table(("name", "on this machine", "from"), [(r["name"], "yes" if r["here"] else "no", r["from"]) for r in rows])


@weights.command()
@click.argument("name")
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Say what the checkpoint NAME (a name or a file) holds."""
    from frozenseg_label.model.checkpoint_info import read_checkpoint_info
    from frozenseg_label.model.pretrained import find_weights

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
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **facts, "categories": categories}))
        return
    _table(("", ""), [(key, str(value)) for key, value in facts.items()])
    things = [c.names[0] for c in info.categories if c.is_thing]
    stuff = [c.names[0] for c in info.categories if not c.is_thing]
    click.echo(f"\nseen in training: {len(things)} things: {', '.join(things)}")
    click.echo(f"{len(stuff)} kinds of stuff: {', '.join(stuff)}")


@weights.command()
@click.argument("name")
@click.option("--offline", is_flag=True, help="Never touch the network.")
def fetch(name: str, offline: bool) -> None:
    """Download the published weights NAME, check them, and convert them."""
    from frozenseg_label.model import pretrained

    path, digest = pretrained.fetch(name, offline=offline, progress=True)
    known = pretrained.DOWNLOADS[name].sha256
    how = "as published" if known else "nobody has published one: this one is now written down for later fetches"
    click.echo(f"{path}\nSHA-256 {digest} ({how})", err=True)
    if pretrained.DOWNLOADS[name].builder:
        _convert(path, pretrained.named_file(name))


@weights.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("name")
def add(file: Path, name: str) -> None:
    """Copy a checkpoint of ours into the cache, to be used as --weights NAME."""
    from frozenseg_label.model import pretrained

    click.echo(pretrained.add(file, name))


@weights.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Checkpoint to write; by default in the cache.")
def convert(file: Path, output: Path | None) -> None:
    """Convert a published FrozenSeg checkpoint (.pth), so that it can be used."""
    _convert(file, output)


@weights.command()
@click.argument("name")
def verify(name: str) -> None:
    """Read all tensors of NAME (a name or a file) and compare them with their hashes."""
    from frozenseg_label.model.checkpoint import verify_checkpoint
    from frozenseg_label.model.pretrained import find_weights, frozen_folder

    path = find_weights(name)
    verify_checkpoint(path, frozen_folder())
    click.echo(f"{path}: all hashes are right")


def _convert(source: Path, output: Path | None) -> None:
    from frozenseg_label.model.convert import convert_published

    click.echo(convert_published(source, output))


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None, pad_edge=False, show_header=any(header))
    for row in rows:
        table.add_row(*row)
    Console().print(table)
