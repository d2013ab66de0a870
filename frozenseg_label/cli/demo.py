"""`frozenseg-label demo`: images to try the first command on."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--count", default=12, show_default=True, type=click.IntRange(min=1), help="Number of images."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Other seeds draw other images.",
)
@click.option(
    "--with-truth",
    "truth",
    metavar="DIR2",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the true labels there, as COCO panoptic.",
)
def demo(folder: Path, count: int, seed: int, truth: Path | None) -> None:
    """Write demonstration images of the nano world into DIR.

    They are drawn from stickers in a style that no training of the embedded model saw.
    """
    from frozenseg_label.demo.write_demo import VOCABULARY, write_demo

    write_demo(folder, count=count, seed=seed, truth=truth)
    also = "" if truth is None else f", their true labels into {truth}"
    click.echo(f"Wrote {count} images into {folder}{also}.", err=True)
    click.echo(f"Next: frozenseg-label annotate {folder} --vocab {VOCABULARY} -o labels", err=True)
