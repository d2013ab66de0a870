"""`frozenseg-label import`: reads options, makes one call and prints a summary."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import print_json, say
from frozenseg_label.exchange.import_labels import ImportForm, ImportSummary, OnTop
from frozenseg_label.exchange.import_labels import import_labels as take_in


@click.command("import", cls=HelpfulCommand)
@click.argument("output", metavar="OUT", type=FilePath(path_type=Path))
@click.argument("labels", metavar="LABELS", type=FilePath(exists=True, path_type=Path))
@option_of(
    take_in,
    "--from",
    parameter="form",
    metavar="FORMAT",
    type=click.Choice(get_args(ImportForm)),
    help=f"Format of the labels: {', '.join(get_args(ImportForm))}.",
)
@option_of(
    take_in,
    "--pngs",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    help="Folder of COCO's panoptic PNGs, if it is not beside the JSON file and named like it.",
)
@option_of(
    take_in,
    "--on-top",
    type=click.Choice(get_args(OnTop)),
    help="Which of two shapes has the pixels of both: by place in the file, size or score.",
)
@option_of(
    take_in,
    "--in-review",
    is_flag=True,
    help="The images are not finished: pixels without a label may get one later.",
)
@option_of(
    take_in, "--overwrite", is_flag=True, help="Also replace what people corrected in the run."
)
@option_of(
    take_in,
    "--trust-states",
    is_flag=True,
    help="Believe the states in labels of other tools; else all of them count as accepted.",
)
@option_of(
    take_in,
    "--class-map",
    metavar="FILE",
    type=FilePath(dir_okay=False, path_type=Path),
    help="YAML or JSON: class there: class of the run, or null to leave it out.",
)
@option_of(
    take_in,
    "--exported",
    metavar="DIR",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    help="Folder that export wrote, if LABELS are elsewhere: what it left out stays as it is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@verbosity_options
def import_labels(
    output: Path,
    labels: Path,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.import_labels, with its types
) -> None:
    """Import LABELS that a person corrected in another tool into the run folder OUT.

    LABELS is the file or folder that the other tool wrote; export writes the same forms. Every
    image in it counts as reviewed, even if nothing was changed: leave out images that nobody has
    looked at. Segments that the export left out (--min-score, --only), or of classes that LABELS
    does not list, stay as they are. Images are matched by their path below the annotated folder, or
    by a file name that occurs once; classes by their names, synonyms, or place in a published set.
    """
    result = take_in(output, labels, progress=not is_quiet(), **options)
    if as_json:
        print_json(**asdict(result))
    else:
        _print(result)


def _print(result: ImportSummary) -> None:
    """Print the result on stdout."""
    counts = {
        "images imported": result.images,
        "images unchanged": result.unchanged,
        "images not in the run": result.unknown,
        "segments accepted": result.accepted,
        "segments of another class": result.changed_class,
        "segments reshaped": result.reshaped,
        "segments added": result.added,
        "segments removed": result.removed,
        "segments left out": result.left_out,
        "segments left as they are": result.kept,
        "shapes under others": result.overlapped,
    }
    width, digits = max(map(len, counts)), max(len(str(count)) for count in counts.values())
    for name, count in counts.items():
        say(f"{name:{width}}  {count:{digits}}")
    say(f"\nlabels: {result.output / 'panoptic.json'}")
