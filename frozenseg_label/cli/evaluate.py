"""`frozenseg-label evaluate`: reads options, makes one call and prints tables in per cent."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import (
    FINISHED_WITH_FAILURES,
    GATE_FAILED,
    print_json,
    print_table,
    say,
)
from frozenseg_label.evaluation.evaluate_labels import HIGHEST_VALUE
from frozenseg_label.evaluation.evaluate_labels import evaluate as compare
from frozenseg_label.formats.published_layouts import PublishedSet

if TYPE_CHECKING:
    from frozenseg_label.evaluation.confusions import Confusion
    from frozenseg_label.evaluation.evaluation_report import (
        ClassFigures,
        EvaluationReport,
        ImageFigure,
        Outcomes,
        ReviewedReport,
    )

NOTHING = "-"
FIGURES = {  # name shown -> field of `Figures`
    "PQ": "pq",
    "SQ": "sq",
    "RQ": "rq",
    "mIoU": "miou",
    "fwIoU": "fwiou",
    "boundary IoU": "boundary_iou",
    "mask AP": "ap",
    "mask AP50": "ap50",
    "mask AP75": "ap75",
    "mask recall at IoU .5": "recall50",
    "mask recall at IoU .75": "recall75",
    "mask recall at IoU .9": "recall90",
}
CLASS_FIGURES = {"PQ": "pq", "SQ": "sq", "RQ": "rq", "IoU": "miou", "edge": "boundary_iou"}
CLASS_FIGURES |= {"AP": "ap", "rec.5": "recall50"}
GROUPS = ("all", "things", "stuff", "seen", "unseen")
CLASS_COUNTS = {"found": "paired", "missed": "missed", "extra": "spurious"}

log = logging.getLogger(__name__)


@click.command(cls=HelpfulCommand)
@click.argument("predicted", type=FilePath(path_type=Path))
@click.argument("truth", required=False, type=FilePath(path_type=Path))
@option_of(
    compare,
    "--reviewed",
    is_flag=True,
    help="Compare the model's labels with the reviewed ones, instead of TRUTH.",
)
@option_of(
    compare,
    "--html",
    metavar="DIR",
    type=FilePath(file_okay=False, path_type=Path),
    help="Write a page that shows the worst images side by side.",
)
@option_of(
    compare,
    "--images",
    metavar="DIR",
    type=FilePath(file_okay=False, path_type=Path),
    help="Folder of the images for the page, if not the one that the run folder names.",
)
@option_of(
    compare,
    "--worst",
    type=click.IntRange(min=0),
    help="Number of worst images to show.",
)
@option_of(
    compare,
    "--class-map",
    metavar="FILE",
    type=FilePath(dir_okay=False, path_type=Path),
    help="YAML or JSON: class of one set: class of the other, or null to leave it out.",
)
@option_of(
    compare,
    "--truth-format",
    type=click.Choice(get_args(PublishedSet)),
    help="Read TRUTH as this data set publishes it: name the folder of its PNGs.",
)
@option_of(
    compare,
    "--ignore-index",
    type=click.IntRange(0, HIGHEST_VALUE),
    help="Value in TRUTH's class PNGs that does not count.",
)
@click.option(
    "--min-pq", type=click.FloatRange(0, 100), help="Exit with 4 if PQ is less, in per cent."
)
@click.option(
    "--min-miou", type=click.FloatRange(0, 100), help="Exit with 4 if mIoU is less, in per cent."
)
@click.option(
    "--group",
    type=click.Choice(GROUPS),
    default="all",
    show_default=True,
    help="Classes that --min-pq and --min-miou look at.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, shares in 0..1.")
@verbosity_options
def evaluate(
    predicted: Path,
    truth: Path | None,
    min_pq: float | None,
    min_miou: float | None,
    group: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.evaluate, with its types
) -> int:
    """Measure how well the labels in PREDICTED agree with those in TRUTH.

    Each is a run folder, or labels of another tool: COCO panoptic (a JSON file, or a folder with
    panoptic.json and panoptic/) or instances, CVAT, Label Studio, labelme, VOC, YOLO, or a folder
    of class PNGs with classes.json (only pixels are compared then). Images are paired by their
    relative path, or by a file name that occurs once; classes by their names, synonyms, or place in
    a published set. Pixels without a label in TRUTH do not count.

    With --truth-format, TRUTH is a folder of a data set as it is published: Cityscapes' gtFine,
    ADE20K's annotations, VOC's SegmentationClass, COCO-Stuff's stuffthingmaps. Only Cityscapes'
    files tell objects apart; with the others there is mIoU, and no PQ.

    With --reviewed, PREDICTED is a run folder, and the model's own labels are compared with the
    labels after the review.
    """
    if (truth is None) != options["reviewed"]:
        raise click.UsageError("give either TRUTH, labels to compare with, or --reviewed")
    of_two_sets = ("class_map", "truth_format", "ignore_index")
    for name in of_two_sets if options["reviewed"] else ():
        if options[name] is not None:
            option = f"--{name}".replace("_", "-")
            raise click.UsageError(f"{option} is for two sets, and --reviewed looks at one")
    limits = {"pq": min_pq, "miou": min_miou}
    if options["reviewed"] and limits != dict.fromkeys(limits):
        raise click.UsageError("--min-pq and --min-miou need TRUTH, they are not for --reviewed")
    from frozenseg_label.evaluation.evaluation_report import EvaluationReport

    report = compare(predicted, truth, progress=not is_quiet(), **options)
    for note in report.notes:
        log.warning("%s", note)
    code = _judge(report, limits, group) if isinstance(report, EvaluationReport) else 0
    if as_json:
        print_json(**asdict(report))
    elif not is_quiet():
        _print(report)
    return code


def _print(report: "EvaluationReport | ReviewedReport") -> None:
    """Print the tables of a report on stdout."""
    from frozenseg_label.evaluation.evaluation_report import ReviewedReport

    if isinstance(report, ReviewedReport):
        _print_review(report)
    else:
        _print_comparison(report)
    if report.html is not None:
        say(f"page: {report.html}")


def _judge(report: "EvaluationReport", limits: Mapping[str, float | None], group: str) -> int:
    """Say what was not compared and what is less than asked for; return the exit code."""
    for fault in report.faults:
        log.warning("not compared: %s", fault)
    missed = _missed_limits(report, limits, group)
    for sentence in missed:
        log.error("%s", sentence)
    if missed:
        return GATE_FAILED
    return FINISHED_WITH_FAILURES if report.faults else 0


def _missed_limits(
    report: "EvaluationReport", limits: Mapping[str, float | None], group: str
) -> list[str]:
    """Return a sentence for each figure of a group that is less than its limit, or not known.

    Args:
        limits: field of `Figures` -> per cent, or None for no limit.
    """
    figures, missed = report.groups.get(group), []
    for shown, field in FIGURES.items():
        limit, found = limits.get(field), getattr(figures, field, None)
        if limit is None:
            continue
        option, of_group = f"--min-{field} {limit:g}", "" if group == "all" else f" of {group}"
        if found is None:
            missed.append(f"{shown}{of_group} cannot be told from these labels: {option} fails")
        elif not 100 * found >= limit:  # so that a limit that is not a number fails, too
            value = f"{100 * found:.4g}"
            missed.append(f"{shown}{of_group} is {value} per cent, less than {option} asks for")
    return missed


def _print_comparison(report: "EvaluationReport") -> None:
    """Print classes, confusions, the worst images, and at the end the figures of all."""
    _print_classes(report.classes)
    _print_confusions("Right mask, wrong name (segments)", report.confused_segments)
    _print_confusions("Confused pixels", report.confused_pixels)
    groups = report.groups.values()
    has_segments = report.groups["all"].pq is not None
    _print_worst("PQ" if has_segments else "mIoU", report.worst)
    rows = [("classes that occur", *(str(figures.classes) for figures in groups))]
    if has_segments:
        rows.append(("true segments", *(str(figures.segments) for figures in groups)))
    for shown, field in FIGURES.items():
        values = [getattr(figures, field) for figures in groups]
        if any(value is not None for value in values):
            rows.append((shown, *map(_percent, values)))
    title = f"{report.predicted} against {report.truth}, {report.images} images"
    print_table(("per cent", *report.groups), rows, title=title)
    say(
        f"{_percent(report.unlabelled_truth)} % of the pixels are unlabelled in the truth and do "
        f"not count; of the rest, {_percent(report.unlabelled_predicted)} % are unlabelled in the "
        "predictions."
    )


def _print_review(report: "ReviewedReport") -> None:
    """Print what became of the proposals: confusions, worst images, classes and all of them."""
    _print_confusions("Renamed segments", report.confused, ("proposed", "reviewed"))
    _print_worst("PQ", report.worst)
    ordered = sorted(report.classes.items(), key=lambda item: -_faults(item[1]))
    rows = [(name, *_outcomes(found)) for name, found in (*ordered, ("all", report.total))]
    columns = ("class", "right", "moved", "wrong class", "missed", "spurious", "PQ")
    title = f"What became of the proposals in {report.run}, {report.images} reviewed images"
    print_table(columns, rows, title=title, total=True)


def _print_classes(classes: Iterable["ClassFigures"]) -> None:
    classes = sorted(classes, key=_lost, reverse=True)
    has_seen = any(row.seen is not None for row in classes)
    has_segments = any(row.missed is not None for row in classes)
    counts = CLASS_COUNTS if has_segments else {}
    figures = {
        shown: field
        for shown, field in CLASS_FIGURES.items()
        if any(getattr(row.figures, field) is not None for row in classes)
    }
    rows = []
    for row in classes:
        cells = [row.name, "thing" if row.is_thing else "stuff"]
        cells += [{True: "yes", False: "no", None: NOTHING}[row.seen]] if has_seen else []
        cells += [str(getattr(row, field)) for field in counts.values()]
        rows.append([*cells, *(_percent(getattr(row.figures, f)) for f in figures.values())])
    words = ("class", "kind", "seen") if has_seen else ("class", "kind")
    title = "Class by class, most to correct first"
    print_table((*words, *counts, *figures), rows, words=len(words), title=title)


def _lost(row: "ClassFigures") -> tuple[int, int]:
    return (row.missed or 0) + (row.spurious or 0), row.missed_pixels


def _faults(found: "Outcomes") -> int:
    return found.moved + found.wrong_class + found.missed + found.spurious


def _outcomes(found: "Outcomes") -> list[str]:
    counts = (found.right, found.moved, found.wrong_class, found.missed, found.spurious)
    return [*map(str, counts), _percent(found.pq)]


def _print_confusions(
    title: str,
    confusions: Sequence["Confusion"],
    sides: tuple[str, str] = ("predicted", "truth"),
) -> None:
    if confusions:
        rows = [(found.predicted, found.truth, f"{found.number:,}") for found in confusions]
        print_table((*sides, "number"), rows, words=2, title=title)


def _print_worst(figure: str, images: Sequence["ImageFigure"]) -> None:
    if images:
        rows = [(image.name, _percent(image.quality)) for image in images]
        print_table(("image", figure), rows, title="Worst images")


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f}"
