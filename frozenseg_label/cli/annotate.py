"""`frozenseg-label annotate`: reads options, makes one call and prints a summary."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
from click.core import ParameterSource

from frozenseg_label.annotation.annotate_folder import annotate as label
from frozenseg_label.annotation.annotate_job import ENGINES, FORMATS
from frozenseg_label.annotation.annotate_summary import AnnotateSummary
from frozenseg_label.annotation.merge_runs import merge_runs
from frozenseg_label.cli.completion import complete_vocabulary, complete_weights
from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import (
    FilePath,
    is_quiet,
    option_of,
    tile_side,
    verbosity_options,
)
from frozenseg_label.cli.output import (
    FINISHED_WITH_FAILURES,
    command_line,
    print_json,
    print_table,
    say,
)
from frozenseg_label.model.precision import PRECISIONS

if TYPE_CHECKING:
    from frozenseg_label.vocabulary import Vocabulary

BESIDE_MERGE = {"images", "output", "merge", "as_json", "quiet", "verbose", "log_file"}
SOURCES = ("DEFAULT", "DEFAULT_MAP", "ENVIRONMENT", "COMMANDLINE")  # of a value; the last wins


@click.command(cls=HelpfulCommand)
@click.argument("images", nargs=-1, type=FilePath(addresses=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=FilePath(path_type=Path), help="Run folder to write."
)
@click.option(
    "--from-list",
    metavar="FILE",
    type=click.File("rb"),
    help="Label the images that FILE names, one a line, instead of IMAGES; - is stdin.",
)
@click.option("-0", "--null", is_flag=True, help="Names in the list end with NUL, not with a line.")
@click.option(
    "--vocab",
    shell_complete=complete_vocabulary,
    help="Vocabulary: a YAML or text file, or a shipped name.",
)
@click.option("--classes", help='Classes instead of a vocabulary: "cat, dog, sky:stuff".')
@option_of(label, "--weights", shell_complete=complete_weights, help="Name or file of the weights.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["coco-panoptic", *FORMATS]),
    help="Also write this format; overlay: pictures to look at. COCO panoptic is always written.",
)
@option_of(label, "--semantic", is_flag=True, help="Also write semantic maps.")
@option_of(
    label, "--sam-masks", is_flag=True, help="Also use SAM's masks; finds more of unseen classes."
)
@option_of(
    label,
    "--keep-proposals",
    is_flag=True,
    help="Also keep what relabel needs to try other words in seconds.",
)
@option_of(
    label, "--min-score", type=click.FloatRange(0, 1), help="Leave out segments with a lower score."
)
@option_of(
    label,
    "--memory",
    metavar="RUN",
    multiple=True,
    type=FilePath(path_type=Path),
    help="Also name by what people corrected in RUN, a run folder; may be repeated.",
)
@option_of(
    label,
    "--tile",
    type=tile_side,
    metavar="N|auto",
    help="Label larger images in tiles of N x N pixels; auto: what the model would shrink too far.",
)
@option_of(
    label,
    "--overlap",
    metavar="N",
    type=click.IntRange(min=0),
    help="Pixels that tiles share with their neighbours.  [default: an eighth of the tile]",
)
@option_of(label, "--device", help="auto, cpu, cuda, cuda:1 or mps.")
@option_of(
    label,
    "--precision",
    type=click.Choice(PRECISIONS),
    help="auto: bf16 on CUDA and on CPUs that are faster with it, else fp32.",
)
@option_of(
    label,
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images of one shape that are labelled together.",
)
@option_of(label, "--max-pixels", type=click.IntRange(min=1), help="Images with more pixels fail.")
@option_of(
    label, "--limit", metavar="N", type=click.IntRange(min=1), help="Label only the first N images."
)
@option_of(
    label,
    "--shard",
    metavar="I/N",
    help="Label only the I-th of N parts, by hash of the names; each part needs its own folder.",
)
@click.option(
    "--merge",
    is_flag=True,
    help="Join run folders, given instead of IMAGES, into one: the parts that --shard made.",
)
@option_of(
    label,
    "--checksum",
    is_flag=True,
    help="Detect changed images by their hash, instead of size and time.",
)
@option_of(
    label,
    "--update",
    is_flag=True,
    help="Allow other weights, words or options; corrected segments are kept.",
)
@option_of(
    label,
    "--max-failure-rate",
    type=click.FloatRange(0, 1),
    help="Stop when a larger share of the images has failed.",
)
@option_of(
    label,
    "--dry-run",
    is_flag=True,
    help="Estimate images, time, disk and memory; write nothing.",
)
@option_of(
    label,
    "--engine",
    type=click.Choice(ENGINES),
    help="ray: label on the machines of a Ray cluster, or in processes of Ray here.",
)
@option_of(label, "--ray-address", metavar="ADDRESS", help="Ray cluster to join, such as `auto`.")
@option_of(
    label,
    "--ray-actors",
    metavar="N",
    type=click.IntRange(min=1),
    help="Workers; each has a model.",
)
@option_of(
    label,
    "--ray-gpus",
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    help="GPU of each worker; 0.5: two share one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@verbosity_options
@click.pass_context
def annotate(
    ctx: click.Context,
    /,
    images: tuple[Path | str, ...],
    from_list: BinaryIO | None,
    null: bool,
    output: Path,
    vocab: str | None,
    classes: str | None,
    merge: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.annotate, with its types
) -> None:
    """Label IMAGES (folders, searched recursively, files, or s3:// addresses) into a run folder.

    After an interruption, the same command continues where it stopped.
    """
    if merge:
        _refuse_beside_merge(ctx)
        _report(ctx, merge_runs(images, output, progress=not is_quiet()), as_json=as_json)
        return
    if bool(images) == (from_list is not None):
        raise click.UsageError("give either IMAGES, folders or files, or --from-list")
    sources = images if from_list is None else _listed(from_list, b"\0" if null else b"\n")
    options["missing_ok"] = from_list is not None
    vocabulary = chosen_vocabulary(ctx, vocab, classes)
    options["formats"] = [name for name in options["formats"] if name != "coco-panoptic"]
    result = label(sources, output, vocabulary, progress=not is_quiet(), **options)
    _report(ctx, result, as_json=as_json, dry_run=options["dry_run"])


def _refuse_beside_merge(ctx: click.Context) -> None:
    """Raise UsageError where an option was given that a merge does not know."""
    for param in ctx.command.params:
        given = ctx.get_parameter_source(f"{param.name}") is ParameterSource.COMMANDLINE
        if given and param.name not in BESIDE_MERGE:
            raise click.UsageError(
                f"{param.opts[-1]} has no place beside --merge, which labels nothing; give run "
                "folders and -o"
            )


def _report(
    ctx: click.Context, result: AnnotateSummary, *, as_json: bool, dry_run: bool = False
) -> None:
    """Print the result on stdout, and exit with what it means."""
    if as_json:
        print_json(**asdict(result))
    elif dry_run or not is_quiet():
        _print(result, dry_run=dry_run)
    if result.failed:
        ctx.exit(FINISHED_WITH_FAILURES)


def _listed(file: BinaryIO, end: bytes) -> Sequence[str]:
    """Return the paths or addresses in a list; relative ones are relative to the working folder.

    Args:
        end: of each name.
    """
    names = (name.removesuffix(b"\r") if end == b"\n" else name for name in file.read().split(end))
    listed = [os.fsdecode(name) for name in names if name]
    if not listed:
        raise click.UsageError(f"--from-list {file.name}: no file is named there")
    return listed


def chosen_vocabulary(
    ctx: click.Context, vocab: str | None, classes: str | None
) -> "str | Vocabulary":
    """Return what --vocab or --classes names; the command line goes before the settings file."""
    from frozenseg_label.vocabulary_files import parse_classes

    sources = [ctx.get_parameter_source(name) for name in ("vocab", "classes")]
    of_vocab, of_classes = [SOURCES.index(source.name) if source else 0 for source in sources]
    if of_vocab == of_classes:  # neither, or both in one place
        raise click.UsageError("give either --vocab or --classes")
    return vocab or "" if of_vocab > of_classes else parse_classes(classes or "")


def segment_rows(segments: dict[str, int]) -> list[tuple[str, str]]:
    """Return rows of classes and numbers of segments, the most frequent class first."""
    found = sorted(segments.items(), key=lambda item: (-item[1], item[0]))
    return [(name, str(count)) for name, count in found]


def _print(result: AnnotateSummary, *, dry_run: bool) -> None:
    """Print the result on stdout."""
    if result.estimate is not None:
        guess, memory = result.estimate, ""
        if guess.memory_bytes is not None:
            memory = f", {guess.memory_bytes / 1e9:.1f} GB of memory"
        kept = f" and {guess.kept_bytes / 1e6:.1f} MB of kept proposals" if guess.kept_bytes else ""
        say(
            f"{guess.images} images to label, {result.skipped} already labelled: "
            f"about {guess.seconds:.0f} s, "
            f"{guess.disk_bytes / 1e6:.1f} MB of labels{kept} "
            f"({guess.free_bytes / 1e9:.0f} GB free)"
            f"{memory}. Nothing was written."
        )
        return
    if dry_run:
        rest = f", the other {result.failed} cannot be read" if result.failed else ""
        images = f"{result.skipped} images" if result.failed else f"all {result.skipped} images"
        say(f"Nothing to do: {images} are labelled already{rest}.")
        return
    counts = {
        "labelled": result.labelled,
        "already there": result.skipped,
        "failed": result.failed,
    }
    print_table(("", ""), [(name, str(count)) for name, count in counts.items()])
    if result.segments:
        print_table(("class", "segments"), segment_rows(result.segments))
    elif result.labelled + result.skipped:
        say("no image has a segment: add words for what the pictures show, or lower --min-score")
    say(f"labels: {result.output / 'panoptic.json'}")
    if result.failed:
        say(f"what failed: {result.output / 'failures.jsonl'}")
    if result.labelled + result.skipped:
        page = f"{result.output}-page"
        say(f"look at them: {command_line('review', result.output, '--html', page)}")
