"""`frozenseg-label train`: reads options, makes one call and prints a table."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from frozenseg_label.cli.completion import complete_recipe, complete_vocabulary, complete_weights
from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import (
    FINISHED_WITH_FAILURES,
    GATE_FAILED,
    INTERRUPTED,
    print_json,
    print_table,
    say,
)
from frozenseg_label.training.train import TrainSummary
from frozenseg_label.training.train import train as learn


@click.command(cls=HelpfulCommand)
@click.argument("labels", nargs=-1, required=True, type=FilePath(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=FilePath(path_type=Path), help="Folder to write."
)
@option_of(
    learn,
    "--recipe",
    shell_complete=complete_recipe,
    help="Name of a shipped recipe, or a YAML file.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the recipe."
)
@option_of(
    learn,
    "--max-steps",
    type=click.IntRange(min=1),
    help="Training steps, instead of the recipe's.",
)
@option_of(
    learn,
    "--weights",
    shell_complete=complete_weights,
    help="Name or file of the weights to start from.",
)
@option_of(
    learn,
    "--vocab",
    parameter="vocabulary",
    shell_complete=complete_vocabulary,
    help="Vocabulary of the labels, as for `annotate`.",
)
@option_of(
    learn,
    "--images",
    type=FilePath(file_okay=False, path_type=Path),
    help="Folder of the pictures, if not the one that the labels name.",
)
@option_of(
    learn,
    "--probe",
    type=FilePath(path_type=Path),
    help="COCO panoptic set to measure what is forgotten; nano has its own; none: do not measure.",
)
@option_of(
    learn,
    "--max-forgetting",
    type=float,
    help="Exit with 4 if PQ on the probe set falls by more points.",
)
@option_of(
    learn,
    "--cache-folder",
    type=FilePath(file_okay=False, path_type=Path),
    help="Folder for cached features; by default in the output folder.",
)
@option_of(
    learn,
    "--trust-states",
    is_flag=True,
    help="Believe the states in labels of other tools; else all segments are truth.",
)
@option_of(
    learn,
    "--class-map",
    metavar="FILE",
    type=FilePath(dir_okay=False, path_type=Path),
    help="YAML or JSON: class of the labels: word of the vocabulary, or null to learn nothing.",
)
@option_of(
    learn,
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="auto: the GPU, if there is one.",
)
@option_of(learn, "--resume", is_flag=True, help="Continue a training that was stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@verbosity_options
@click.pass_context
def train(
    ctx: click.Context,
    /,
    labels: tuple[Path, ...],
    output: Path,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.train, with its types
) -> None:
    """Train the decoder on corrected LABELS: run folders, and labels of other tools.

    CLIP and SAM do not change. Only segments that a person accepted, drew or imported are truth.
    """
    result = learn(list(labels), output, progress=not is_quiet(), **options)
    if not result.is_main:
        pass
    elif as_json:
        print_json(**asdict(result))
    elif not result.stopped and not is_quiet():
        _print(result, options["max_forgetting"])
    if result.stopped:
        ctx.exit(INTERRUPTED)
    if result.forgot_too_much:
        ctx.exit(GATE_FAILED)
    if result.skipped:
        ctx.exit(FINISHED_WITH_FAILURES)


def _print(result: TrainSummary, max_forgetting: float) -> None:
    """Print the table on stdout."""
    rows = [
        (
            row.images,
            row.classes,
            f"{row.count}",
            f"{row.before:.1f}",
            f"{row.after:.1f}",
            f"{row.after - row.before:+.1f}",
        )
        for row in result.table
    ]
    print_table(("images", "classes", "how many", "PQ before", "after", "change"), rows, words=2)
    minutes = result.seconds / 60
    say(f"{result.steps} steps, best after step {result.best_step}; {minutes:.1f} min")
    say(f"weights: {result.checkpoint}")
    if result.skipped:
        images = "1 image" if result.skipped == 1 else f"{result.skipped} images"
        say(f"not readable and skipped: {images}; {result.output / 'report.json'} names them")
    if result.forgot_too_much:
        say(
            "forgot too much: the probe set lost "
            f"{result.forgetting:.1f} points of PQ, more than {max_forgetting:g}; the weights are "
            "kept. Fewer steps or a lower learning_rate forget less"
        )
