"""`frozenseg-label demo`: writes images to try the other commands on."""

import logging
from pathlib import Path

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, option_of, verbosity_options
from frozenseg_label.cli.output import command_line
from frozenseg_label.demo.write_demo import STYLES, VOCABULARY, Style, write_demo

log = logging.getLogger(__name__)


@click.command(cls=HelpfulCommand)
@click.argument("folder", metavar="DIR", type=FilePath(file_okay=False, path_type=Path))
@option_of(write_demo, "--count", type=click.IntRange(min=1), help="Number of images.")
@option_of(write_demo, "--seed", type=click.IntRange(min=0), help="Other seeds draw other images.")
@click.option(
    "--with-truth",
    "truth",
    metavar="DIR2",
    type=FilePath(file_okay=False, path_type=Path),
    help="Also write the true labels there, as COCO panoptic.",
)
@option_of(
    write_demo,
    "--style",
    type=click.Choice(STYLES),
    help="Drawings: of styles that the embedded model was trained on, or of one that it never saw.",
)
@verbosity_options
def demo(folder: Path, count: int, seed: int, truth: Path | None, style: Style) -> None:
    """Write demonstration images of the nano world into DIR.

    They are new scenes of stickers that the embedded model was trained on; --style unseen draws
    stickers of a style that it never saw. Files named demo-0000.png, demo-0001.png, ... are
    replaced; other files in DIR are kept.
    """
    write_demo(folder, count=count, seed=seed, truth=truth, style=style)
    also = "" if truth is None else f", their true labels into {truth}"
    log.info("Wrote %d images into %s%s.", count, folder, also)
    labels = f"{folder}-labels"
    log.info("Next: %s", command_line("annotate", folder, "--vocab", VOCABULARY, "-o", labels))
