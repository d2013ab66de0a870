"""`frozenseg-label evaluate`: options in, one call, tables out."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from frozenseg_label.cli.options import is_quiet, option_of, verbosity_options
from frozenseg_label.evaluation.evaluate_labels import evaluate as compare

SCHEMA_VERSION = 1
FINISHED_WITH_FAILURES = 3
log = logging.getLogger(__name__)


@click.command()
@click.argument("predicted", type=click.Path(path_type=Path))
@click.argument("truth", required=False, type=click.Path(path_type=Path))
@option_of(
    compare,
    "--reviewed",
    is_flag=True,
    help="Compare the model with its reviewer, in place of TRUTH.",
)
@option_of(
    compare,
    "--html",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a page of the worst images, side by side.",
)
@option_of(
    compare,
    "--images",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the images, for the page; else the one that a run folder names.",
)
@option_of(
    compare, "--worst", type=click.IntRange(min=0), help="Number of images to name and to show."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, shares in 0..1.")
@verbosity_options
def evaluate(
    predicted: Path,
    truth: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.evaluate, with its types
) -> int:
    """Say how well the labels in PREDICTED agree with those in TRUTH.

    Each is a run folder, a COCO panoptic JSON or a folder that holds panoptic.json and panoptic/,
    or a folder of class PNGs with classes.json (figures of pixels only). Images are paired by their
    relative path, or by a file name that occurs once, classes by their names. Pixels that are
    unlabelled in TRUTH are not judged.

    With --reviewed, PREDICTED is a run folder: what the model proposed is compared with
    the labels after the review.
    """
    if (truth is None) != options["reviewed"]:
        raise click.UsageError("give either TRUTH, labels to compare with, or --reviewed")
    from frozenseg_label.evaluation.evaluation_report import EvaluationReport, ReviewedReport

    report = compare(predicted, truth, progress=not is_quiet(), **options)
    for note in report.notes:
        log.warning("%s", note)
    faults = report.faults if isinstance(report, EvaluationReport) else ()
    for fault in faults:
        log.warning("not judged: %s", fault)
    code = FINISHED_WITH_FAILURES if faults else 0
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **asdict(report)}, default=str))
        return code
    from frozenseg_label.cli.evaluation_tables import print_comparison, print_review

    if isinstance(report, ReviewedReport):
        print_review(report)
    else:
        print_comparison(report)
    return code
