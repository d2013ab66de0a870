"""`frozenseg-label relabel`: other words for a run, or for one image of it, to try them."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from frozenseg_label.annotation.relabel import RelabelSummary
from frozenseg_label.annotation.relabel import relabel as name_anew
from frozenseg_label.annotation.try_words import WordTrial
from frozenseg_label.cli.annotate import chosen_vocabulary, segment_rows
from frozenseg_label.cli.completion import complete_vocabulary
from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import (
    FINISHED_WITH_FAILURES,
    command_line,
    print_json,
    print_table,
    say,
)
from frozenseg_label.errors import FrozenSegLabelError

if TYPE_CHECKING:
    from frozenseg_label.annotation.try_words import TriedWords


@click.command(cls=HelpfulCommand)
@click.argument("run", metavar="OUT", type=FilePath(path_type=Path))
@click.option(
    "--vocab",
    shell_complete=complete_vocabulary,
    help="Vocabulary: a YAML or text file, or a shipped name.",
)
@click.option("--classes", help='Classes instead of a vocabulary: "cat, dog, sky:stuff".')
@option_of(
    name_anew,
    "--memory",
    metavar="RUN",
    multiple=True,
    type=FilePath(path_type=Path),
    help="Also name by what people corrected in RUN, OUT for instance; may be repeated.",
)
@click.option(
    "--try",
    "words",
    metavar="WORDS",
    is_flag=False,
    flag_value="",
    help="Only show what these words would get on one image; without words, ask for them.",
)
@click.option("--image", help="The image for --try: its name in the run, or its file.")
@click.option(
    "-o",
    "--output",
    "picture",
    type=FilePath(path_type=Path, dir_okay=False),
    help="With --try: draw the labels into this JPEG file.",
)
@click.option("--weights", help="Name or file of the run's weights, where that is another one now.")
@click.option("--semantic/--no-semantic", default=None, help="Semantic maps; by default as before.")
@click.option("--sam-masks/--no-sam-masks", default=None, help="SAM's masks; likewise.")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Leave out lower scores; likewise.")
@option_of(name_anew, "--device", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@verbosity_options
@click.pass_context
def relabel(
    ctx: click.Context,
    /,
    run: Path,
    vocab: str | None,
    classes: str | None,
    words: str | None,
    image: str | None,
    picture: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the options of frozenseg_label.relabel, with its types
) -> None:
    """Label the run OUT by other words, from the proposals that annotate --keep-proposals kept.

    With --memory, the words may stay as they are: leave --vocab out.

    No picture is read. Segments that a person corrected stay. After an interruption, the same
    command continues where it stopped.
    """
    if words is not None:
        if vocab or classes:
            raise click.UsageError("give either --try or --vocab or --classes")
        if options.pop("memory"):
            raise click.UsageError("--memory is for all images, leave it out with --try")
        del options["semantic"]
        if words:
            from frozenseg_label.vocabulary_files import parse_classes

            parse_classes(words)  # a slip is told at once, weights take seconds
        _try(WordTrial(run, image, **options), words, picture, as_json=as_json)
        return
    if image is not None or picture is not None:
        raise click.UsageError("--image and -o are for --try")
    same_words = options["memory"] and vocab is None and classes is None
    vocabulary = None if same_words else chosen_vocabulary(ctx, vocab, classes)
    result = name_anew(run, vocabulary, progress=not is_quiet(), **options)
    if as_json:
        print_json(**asdict(result))
    elif not is_quiet():
        _print(result)
    if result.lacking:
        ctx.exit(FINISHED_WITH_FAILURES)


def _print(result: RelabelSummary) -> None:
    """Print the result on stdout."""
    counts = {
        "relabelled": result.relabelled,
        "already so, or reviewed": result.skipped,
        "without proposals": result.lacking,
    }
    print_table(("", ""), [(name, str(count)) for name, count in counts.items()])
    if result.segments:
        print_table(("class", "segments"), segment_rows(result.segments))
    say(f"labels: {result.output / 'panoptic.json'}")
    page = f"{result.output}-page"
    say(f"look at them: {command_line('review', result.output, '--html', page)}")


def _try(trial: WordTrial, words: str, picture: Path | None, *, as_json: bool) -> None:
    """Show what words would get; without words, those of each line at a prompt."""
    if words:
        _show(trial, words, picture, as_json=as_json)
        return
    for line in _lines(f"words for {trial.image} (Enter ends): "):
        try:
            _show(trial, line, picture, as_json=as_json)
        except FrozenSegLabelError as error:  # a slip of the pen ends no session
            say(f"Error: {error}", err=True)


def _lines(prompt: str) -> Iterator[str]:
    """Yield lines of stdin until an empty one or its end; the prompt is shown to people only."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        with suppress(ImportError):  # Windows has none
            import readline  # noqa: F401 - gives `input` arrow keys and earlier lines
    while True:
        try:
            line = input(prompt).strip() if sys.stdin.isatty() else sys.stdin.readline().strip()
        except EOFError:
            return
        if not line:
            return
        yield line


def _show(trial: WordTrial, words: str, picture: Path | None, *, as_json: bool) -> None:
    """Print what words get, and draw it."""
    tried = trial.try_words(words)
    if picture is not None:
        trial.draw(tried, picture)
    if as_json:
        facts = {name: getattr(tried, name) for name in ("image", "unlabelled", "seconds")}
        rows = [asdict(row) for row in tried.classes]
        print_json(**facts, encoding_seconds=tried.encoding_seconds, classes=rows, picture=picture)
        return
    print_table(("word", "segments", "pixels", "best score"), _rows(tried))
    drawn = f"; drawn into {picture}" if picture is not None else ""
    say(
        f"{tried.image}: {tried.seconds:.2f} s, and {tried.encoding_seconds:.2f} s for new words; "
        f"nothing was written into the run{drawn}"
    )


def _rows(tried: "TriedWords") -> list[tuple[str, str, str, str]]:
    """Return the rows of the table, and one of what no word got."""
    rows = [
        (row.name, str(row.segments), f"{row.share:.1%}", f"{row.best_score:.2f}")
        for row in tried.classes
    ]
    return [*rows, ("(unlabelled)", "", f"{tried.unlabelled:.1%}", "")]
