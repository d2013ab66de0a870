"""`frozenseg-label demo`: writes images to try the other commands on."""

import logging
from pathlib import Path

import click

from frozenseg_label.cli.options import option_of, verbosity_options
from frozenseg_label.cli.output import command_line
from frozenseg_label.demo.write_demo import VOCABULARY, write_demo

log = logging.getLogger(__name__)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@option_of(write_demo, "--count", type=click.IntRange(min=1), help="Number of images.")
@option_of(write_demo, "--seed", type=click.IntRange(min=0), help="Other seeds draw other images.")
@click.option(
    "--with-truth",
    "truth",
    metavar="DIR2",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the true labels there, as COCO panoptic.",
)
@verbosity_options
def demo(folder: Path, count: int, seed: int, truth: Path | None) -> None:
    """Write demonstration images of the nano world into DIR.

    They are drawn from stickers in a style that was in no training of the embedded model. Files
    named demo-0000.png, demo-0001.png, ... are replaced; other files in DIR are kept.
    """
    write_demo(folder, count=count, seed=seed, truth=truth)
    also = "" if truth is None else f", their true labels into {truth}"
    log.info("Wrote %d images into %s%s.", count, folder, also)
    labels = f"{folder}-labels"
    log.info("Next: %s", command_line("annotate", folder, "--vocab", VOCABULARY, "-o", labels))
