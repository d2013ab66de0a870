"""`frozenseg-label annotate`: options in, one call, a summary out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from frozenseg_label.annotation.annotate_folder import AnnotateSummary
from frozenseg_label.annotation.annotate_folder import annotate as label
from frozenseg_label.cli.options import option_of

SCHEMA_VERSION = 1
FINISHED_WITH_FAILURES = 3


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Run folder to write."
)
@click.option("--vocab", help="Vocabulary: a YAML or text file, or the name of a shipped one.")
@click.option("--classes", help='Classes in place of a vocabulary: "cat, dog, sky:stuff".')
@option_of(label, "--weights", help="Name or file of the weights.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["coco-panoptic", "class-png", "per-class-png"]),
    help="Also write this; COCO panoptic is always written.",
)
@option_of(label, "--semantic", is_flag=True, help="Also write semantic maps.")
@option_of(
    label, "--sam-masks", is_flag=True, help="Add SAM's masks for classes unseen by the weights."
)
@option_of(
    label, "--min-score", type=click.FloatRange(0, 1), help="Leave less probable segments out."
)
@option_of(label, "--device", help="auto, cpu, cuda, cuda:1 or mps.")
@option_of(
    label,
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    help="auto: bf16 on CUDA, else fp32.",
)
@option_of(label, "--batch-size", type=click.IntRange(min=1), help="Images of one shape at a time.")
@option_of(
    label, "--max-pixels", type=click.IntRange(min=1), help="Larger images are reported as failed."
)
@option_of(
    label, "--limit", type=click.IntRange(min=1), help="Look at the first so many images only."
)
@option_of(label, "--checksum", is_flag=True, help="Know images by content, not by size and time.")
@option_of(
    label,
    "--update",
    is_flag=True,
    help="Allow other weights, words or options; replaces proposed segments only.",
)
@option_of(
    label,
    "--max-failure-rate",
    type=click.FloatRange(0, 1),
    help="Stop once a larger share has failed.",
)
@option_of(
    label, "--dry-run", is_flag=True, help="Say what would be done: images, time, disk, memory."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def annotate(
    ctx: click.Context,
    /,
    images: tuple[Path, ...],
    output: Path,
    vocab: str | None,
    classes: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.annotate, with its types
) -> None:
    """Label IMAGES (folders, searched recursively, or files) and write a run folder.

    The same command again goes on where it stopped.
    """
    from frozenseg_label.vocabulary import parse_classes, read_vocabulary

    if (vocab is None) == (classes is None):
        raise click.UsageError("say what to look for: either --vocab or --classes")
    vocabulary = read_vocabulary(vocab) if vocab is not None else parse_classes(classes or "")
    options["formats"] = [name for name in options["formats"] if name != "coco-panoptic"]
    quiet = bool(ctx.parent and ctx.parent.params["quiet"])
    result = label(images, output, vocabulary, progress=not quiet, **options)
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **asdict(result)}, default=str))
    else:
        _print(result)
    if result.failed:
        ctx.exit(FINISHED_WITH_FAILURES)


def _print(result: AnnotateSummary) -> None:
    """Show the result on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if result.estimate is not None:
        guess = result.estimate
        console.print(
            f"{guess.images} images to label, {result.skipped} already labelled: "
            f"about {guess.seconds:.0f} s, "
            f"{guess.disk_bytes / 1e6:.1f} MB of labels ({guess.free_bytes / 1e9:.0f} GB free), "
            f"{guess.memory_bytes / 1e9:.1f} GB of memory. Nothing was written.",
            soft_wrap=True,
        )
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, count in (
        ("labelled", result.labelled),
        ("already there", result.skipped),
        ("failed", result.failed),
    ):
        table.add_row(name, str(count))
    console.print(table)
    if result.segments:
        classes = Table("class", "segments", box=None, pad_edge=False)
        for name, count in sorted(result.segments.items(), key=lambda item: (-item[1], item[0])):
            classes.add_row(name, str(count))
        console.print()
        console.print(classes)
    console.print(f"\nlabels: {result.output / 'panoptic.json'}", soft_wrap=True, highlight=False)
    if result.failed:
        console.print(
            f"what failed: {result.output / 'failures.jsonl'}", soft_wrap=True, highlight=False
        )
