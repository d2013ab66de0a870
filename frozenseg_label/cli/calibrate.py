"""`frozenseg-label calibrate`: reads options, makes one call and prints tables in per cent."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import GATE_FAILED, print_json, print_table, say
from frozenseg_label.review.calibrate import calibrate as learn
from frozenseg_label.review.calibrate import undo_calibrate

if TYPE_CHECKING:
    from frozenseg_label.review.calibration.report import (
        Acceptance,
        CalibrationReport,
        ClassCalibration,
    )

PRECISION = click.FloatRange(0, 1, min_open=True, max_open=True)

log = logging.getLogger(__name__)


@click.command(cls=HelpfulCommand)
@click.argument("output", metavar="OUT", type=FilePath(path_type=Path))
@option_of(
    learn,
    "--accept",
    metavar="PRECISION",
    type=PRECISION,
    help="Accept segments of which so many are right, with 95 % confidence: 0.98.",
)
@click.option("--undo", is_flag=True, help="Take back all that --accept did.")
@option_of(
    learn,
    "--vocab-out",
    metavar="FILE",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Write the vocabulary as YAML, with a min_score for each class.",
)
@option_of(
    learn,
    "--precision",
    type=PRECISION,
    help="Share of right segments above the min_score of --vocab-out.",
)
@option_of(
    learn,
    "--picture",
    metavar="PNG",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Draw what was said against what came out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, shares in 0..1.")
@verbosity_options
def calibrate(
    output: Path,
    undo: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.calibrate, with its types
) -> int:
    """Learn from the reviewed segments of the run folder OUT which others need no look.

    A segment is right if its reviewer left its class and its mask (IoU above one half). With
    --accept, proposed segments of other images are accepted by machine, where the reviewed ones
    promise the precision; exit code 4 says that they do not. The promise is for images like the
    reviewed ones: review a random part of the images first. `annotate` and `relabel` keep what was
    accepted until the words change, `train` does not learn from it, and `review` puts it last.
    """
    if undo:
        if options["accept"] is not None or options["vocab_out"] or options["picture"]:
            raise click.UsageError("--undo goes without --accept, --vocab-out and --picture")
        withdrawal = undo_calibrate(output)
        if as_json:
            print_json(**asdict(withdrawal))
        elif not is_quiet():
            say(f"{withdrawal.segments} segments in {withdrawal.images} images are proposed again")
        return 0
    report = learn(output, progress=not is_quiet(), **options)
    if report.outdated:
        log.warning(
            "%d reviewed images do not count: other weights, words or options labelled them",
            report.outdated,
        )
    acceptance = report.acceptance
    if as_json:
        print_json(**asdict(report))
    elif not is_quiet():
        _print(report)
    if acceptance is not None and acceptance.threshold is None:
        log.error("%s", _refusal(acceptance))
        return GATE_FAILED
    return 0


def _print(report: "CalibrationReport") -> None:
    rows = [_cells(found) for found in sorted(report.classes, key=lambda found: -found.segments)]
    columns = ["class", "probability", "reviewed", "right", "score", "calibrated"]
    columns += ["min_score"] if report.vocabulary is not None else []
    title = f"{report.run}, {report.segments} reviewed segments in {report.images} images, per cent"
    print_table(columns, [row[: len(columns)] for row in rows], words=2, title=title)
    say(
        f"{_percent(report.right / report.segments)} % are right. Expected calibration error: "
        f"{_percent(report.error_before)} % of the score, {_percent(report.error_after)} % "
        "calibrated (cross-validated by image)."
    )
    if report.picture is not None:
        say(f"picture: {report.picture}")
    if report.vocabulary is not None:
        say(f"vocabulary: {report.vocabulary}")
        if failing := [found.name for found in report.classes if found.reaches is False]:
            say(f"no score reaches the precision for {', '.join(failing)}: min_score as before")
    if report.acceptance is not None and report.acceptance.threshold is not None:
        _print_acceptance(report.acceptance)


def _cells(found: "ClassCalibration") -> list[str]:
    return [
        found.name,
        "shared" if found.shares else "own",
        str(found.segments),
        _percent(found.right / found.segments),
        _percent(found.score),
        _percent(found.calibrated),
        "-" if found.min_score is None else f"{found.min_score:.4f}",
    ]


def _print_acceptance(acceptance: "Acceptance") -> None:
    threshold = acceptance.threshold
    if threshold is None:
        return
    say(
        f"Accepted from a probability of {threshold.probability:.4f} on: of the reviewed segments "
        f"there, {threshold.right} of {threshold.number} are right; precision at least "
        f"{_percent(threshold.bound)} % with 95 % confidence."
    )
    share = acceptance.segments / acceptance.open if acceptance.open else 0.0
    say(
        f"{acceptance.segments} of {acceptance.open} proposed segments ({_percent(share)} %) are "
        f"accepted; {acceptance.settled} of {acceptance.images} images have none left to look at."
    )


def _refusal(acceptance: "Acceptance") -> str:
    """Return why nothing was accepted, and what would be needed."""
    target, best = f"{100 * acceptance.target:g} %", acceptance.best
    seen = ""
    if best is not None:
        seen = (
            f"; the surest {best.number} reviewed segments have {best.right} right, which promises "
            f"{_percent(best.bound)} %"
        )
    return (
        f"accepted nothing: no probability promises a precision of {target} with 95 % confidence"
        f"{seen}. At least {acceptance.missing} more reviewed segments, all right, would be "
        "needed, or a lower --accept"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
