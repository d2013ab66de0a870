"""`frozenseg-label export`: reads options, makes one call and prints a summary."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import FINISHED_WITH_FAILURES, print_columns, print_json, say
from frozenseg_label.exchange.export_labels import (
    ExportForm,
    ExportSummary,
    Only,
    PictureMode,
    export_labels,
)
from frozenseg_label.exchange.export_places import shares_of
from frozenseg_label.review.review_run import fiftyone_writer

log = logging.getLogger(__name__)


def _checked_split(_: click.Context, __: click.Parameter, split: str | None) -> str | None:
    if split is not None:
        try:
            shares_of(split)
        except ValueError as error:
            raise click.BadParameter(f"{error}") from error
    return split


@click.command(cls=HelpfulCommand)
@click.argument("labels", metavar="LABELS", type=FilePath(exists=True, path_type=Path))
@click.option(
    "--to",
    "form",
    required=True,
    metavar="FORMAT",
    type=click.Choice(get_args(ExportForm)),
    help=f"Format to write: {', '.join(get_args(ExportForm))}.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=FilePath(file_okay=False, path_type=Path),
    help="New folder, or the folder of an earlier export, which is updated.",
)
@option_of(
    export_labels,
    "--images",
    metavar="DIR",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    help="Folder of the pictures, if the labels do not name it.",
)
@option_of(
    export_labels,
    "--pngs",
    metavar="DIR",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    help="Folder of the PNGs of a COCO panoptic JSON file, if it is not beside the file.",
)
@option_of(
    export_labels,
    "--only",
    type=click.Choice(get_args(Only)),
    help="Images that a person has finished, or segments that are accepted or drawn.",
)
@option_of(
    export_labels,
    "--min-score",
    type=click.FloatRange(0.0, 1.0),
    help="Leave out segments with a lower score; people's segments have none.",
)
@option_of(
    export_labels,
    "--stuff",
    is_flag=True,
    help="Also write regions of stuff in coco-instances and yolo-seg.",
)
@option_of(
    export_labels,
    "--grey",
    is_flag=True,
    help="Write class-png without a palette, as some programs need it.",
)
@option_of(
    export_labels,
    "--pictures",
    type=click.Choice(get_args(PictureMode)),
    help="What to do with pictures; by default they are copied if the format needs them.",
)
@option_of(
    export_labels,
    "--split",
    metavar="80/10/10",
    callback=_checked_split,
    help="Shares of train, val and test, by the hash of an image's name.",
)
@option_of(
    export_labels,
    "--keep-folders",
    is_flag=True,
    help="Keep all images of a folder in one part of the split.",
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

    LABELS is a run folder, or labels in any of these formats (class-png with classes.json). What
    the format cannot store is counted and reported before anything is written. The same command
    again writes only what has changed. Linked pictures are hard links, or symbolic links where hard
    links are impossible.
    """
    if options["form"] == "fiftyone":
        options["writer"] = fiftyone_writer()
    result = export_labels(labels, output, progress=not is_quiet(), **options)
    for note in result.notes:
        log.warning("%s", note)
    for fault in result.faults:
        log.warning("not exported: %s", fault)
    if as_json:
        print_json(**asdict(result))
    else:
        _print(result)
    return FINISHED_WITH_FAILURES if result.faults else 0


def _print(result: ExportSummary) -> None:
    """Print the result on stdout."""
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
    say(f"\n{result.form}: {result.output}")
