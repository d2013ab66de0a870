"""`frozenseg-label export`: options in, one call, a summary out."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from frozenseg_label.cli.options import is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import FINISHED_WITH_FAILURES, print_columns, print_json
from frozenseg_label.exchange.export_labels import (
    ExportForm,
    ExportSummary,
    Only,
    PictureMode,
    export_labels,
)
from frozenseg_label.exchange.export_places import shares_of

log = logging.getLogger(__name__)


def _checked_split(_: click.Context, __: click.Parameter, split: str | None) -> str | None:
    if split is not None:
        try:
            shares_of(split)
        except ValueError as error:
            raise click.BadParameter(f"{error}") from error
    return split


@click.command()
@click.argument("labels", metavar="LABELS", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to", "form", required=True, type=click.Choice(get_args(ExportForm)), help="Format to write."
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="New folder, or that of an earlier export, which is brought up to date.",
)
@option_of(
    export_labels,
    "--images",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the pictures, where the labels do not tell.",
)
@option_of(
    export_labels,
    "--pngs",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the PNGs of a COCO panoptic JSON, where it is not beside it.",
)
@option_of(
    export_labels,
    "--only",
    type=click.Choice(get_args(Only)),
    help="Images that a person has finished, or segments that a person accepted or drew.",
)
@option_of(
    export_labels,
    "--min-score",
    type=click.FloatRange(0.0, 1.0),
    help="Leave out segments with a lower score; people's have none and stay.",
)
@option_of(
    export_labels,
    "--stuff",
    is_flag=True,
    help="Regions of stuff, too, in coco-instances and yolo-seg.",
)
@option_of(
    export_labels,
    "--grey",
    is_flag=True,
    help="class-png without a palette, for readers that take it for colours.",
)
@option_of(
    export_labels,
    "--pictures",
    type=click.Choice(get_args(PictureMode)),
    help="What to do with the pictures; else they are copied for formats that have to have them.",
)
@option_of(
    export_labels,
    "--split",
    metavar="80/10/10",
    callback=_checked_split,
    help="Shares of train, val and test, by the hash of an image's name.",
)
@option_of(
    export_labels, "--keep-folders", is_flag=True, help="Split folders of images, not images."
)
@option_of(
    export_labels, "--strict", is_flag=True, help="Write nothing if something would be lost."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@verbosity_options
def export(
    labels: Path,
    output: Path,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.export_labels, with its types
) -> int:
    """Write LABELS for another tool.

    LABELS is a run folder, a COCO panoptic JSON or a folder that holds panoptic.json and panoptic/,
    or a folder of class PNGs with classes.json. What the format cannot hold is counted and said
    before anything is written. The same command again writes only what has changed. Linked pictures
    are hard links, or symbolic ones where those are impossible.
    """
    result = export_labels(labels, output, progress=not is_quiet(), **options)
    for fault in result.faults:
        log.warning("not exported: %s", fault)
    if as_json:
        print_json(**asdict(result))
    else:
        _print(result)
    return FINISHED_WITH_FAILURES if result.faults else 0


def _print(result: ExportSummary) -> None:
    """Show the result on stdout."""
    counts = {
        "images": result.images,
        **({f"  {part}": count for part, count in result.parts.items() if part != "all"}),
        "images left out": result.left_out,
        "images unchanged": result.unchanged,
        "segments": result.segments,
        "old files removed": result.removed,
    }
    digits = max(len(str(count)) for count in counts.values())
    print_columns([(name, f"{count:{digits}}") for name, count in counts.items()])
    click.echo(f"\n{result.form}: {result.output}")
