"""`frozenseg-label review`: reads options, makes one call and prints a report."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.options import FilePath, default_of, is_quiet, option_of, verbosity_options
from frozenseg_label.cli.output import (
    FINISHED_WITH_FAILURES,
    command_line,
    escaped,
    print_json,
    say,
)
from frozenseg_label.review.review_run import (
    open_review,
    queue_csv,
    review_page,
    save_review,
    search_review,
)

if TYPE_CHECKING:
    from frozenseg_label.review.app.save_corrections import SaveReport
    from frozenseg_label.review.corrections.apply_edits import Change
    from frozenseg_label.review.corrections.correct_image import ImageReport
    from frozenseg_label.review.corrections.two_people import Clash

log = logging.getLogger(__name__)


@click.command(cls=HelpfulCommand)
@click.argument("output", metavar="OUT", type=FilePath(path_type=Path))
@click.option("--save", is_flag=True, help="Write the corrections into OUT.")
@click.option(
    "--queue",
    metavar="CSV",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Write the review queue as a CSV file; needs no FiftyOne.",
)
@click.option(
    "--html",
    metavar="DIR",
    type=FilePath(file_okay=False, path_type=Path),
    help="Write a static page of the labels; needs no FiftyOne.",
)
@click.option("--search", metavar="WORDS", help="Save a view of the segments most like WORDS.")
@option_of(
    search_review,
    "--limit",
    type=click.IntRange(min=1),
    help="With --search: segments in the view, at most.",
)
@option_of(open_review, "--user", metavar="NAME", help="Who reviews; it goes into the journal.")
@option_of(
    open_review,
    "--part",
    metavar="K/N",
    help="Only the K-th of N parts of the images, dealt out by hash of their names.",
)
@option_of(open_review, "--port", type=click.IntRange(1, 65535), help="Port of the App.")
@option_of(
    open_review,
    "--address",
    help="Address to listen on; one that others reach needs --yes-expose-files.",
)
@option_of(
    open_review,
    "--remote",
    is_flag=True,
    help="Open no browser; say how to connect to it.",
)
@option_of(
    open_review,
    "--yes-expose-files",
    is_flag=True,
    help="Let other machines in: they can read every file that you may read.",
)
@click.option("--json", "as_json", is_flag=True, help="With --save: print the report as JSON.")
@verbosity_options
@click.pass_context
def review(
    ctx: click.Context,
    output: Path,
    save: bool,
    queue: Path | None,
    html: Path | None,
    search: str | None,
    limit: int,
    user: str | None,
    part: str | None,
    port: int,
    address: str,
    remote: bool,
    yes_expose_files: bool,
    as_json: bool,
) -> None:
    """Open the labels of the run folder OUT in FiftyOne, the most doubtful images first.

    Correct segments in the App's Annotate tab; accept or reject them with our buttons or with tags.
    Then write the corrections into OUT with --save, or with "save corrections" in the App.
    """
    if sum(map(bool, (save, queue, html, search))) > 1:
        raise click.UsageError("give one of --save, --queue, --html and --search")
    if search is not None and not search.strip():
        raise click.UsageError("--search needs words to look for")
    if part is not None and any((save, queue, html, search)):
        raise click.UsageError("--part is of the App; --save, --queue, --html see all images")
    if queue is not None:
        count = queue_csv(output, queue)
        log.info("%d images, most doubtful first: %s", count, queue)
    elif html is not None:
        _write_page(output, html)
    elif search is not None:
        _search(output, search, limit, port)
    elif save:
        report = save_review(output, user=user, progress=not is_quiet())
        if as_json:
            print_json(**asdict(report))
        else:
            _print(report)
        if any(image.problem for image in report.images):
            ctx.exit(FINISHED_WITH_FAILURES)
    else:
        open_review(
            output,
            user=user,
            part=part,
            port=port,
            address=address,
            remote=remote,
            yes_expose_files=yes_expose_files,
            progress=not is_quiet(),
        )
        log.info(
            "Closed. Your corrections are in FiftyOne. To write them into %s: "
            "frozenseg-label review %s --save",
            output, output,
        )  # fmt: skip


def _write_page(output: Path, folder: Path) -> None:
    page = review_page(output, folder)
    if page.without_picture:
        log.warning(
            "%d of %d pictures were not found, and the page shows their labels on grey. If they "
            "were moved, give the `annotate` command again with their new folder and -o %s: no "
            "image is labelled twice; then write the page again",
            page.without_picture, page.images, output,
        )  # fmt: skip
    log.info("page: %s", page.path)


def _search(output: Path, words: str, limit: int, port: int) -> None:
    """Save a view of the segments whose CLIP vectors are nearest to that of the words."""
    from frozenseg_label.runs.manifest import read_manifest

    weights = read_manifest(output).weights.name  # before torch is imported, which takes seconds
    from frozenseg_label.checkpoints.text_embeddings import encode_words

    vector, clip_hash = encode_words(words, weights)
    options = () if port == default_of(open_review, "port") else ("--port", port)
    found = search_review(output, words, vector, clip_hash, limit=limit, progress=not is_quiet())
    log.info(
        "%d of %d segments, the most similar first, in the view %r: http://127.0.0.1:%d%s (while "
        "`%s` runs)",
        found.segments, found.searched, found.view, port, found.page,
        command_line("review", output, *options),
    )  # fmt: skip


def _print(report: "SaveReport") -> None:
    """Print what happened to each image."""
    for image in report.images:
        say(f"{escaped(image.image)}: {_summary(image)}")
        for change in image.changes:
            if change.kind not in ("accepted", "rejected", "proposed"):
                say(f"  {_sentence(change)}")
        for clash in image.clashes:
            say(f"  {_clash_sentence(clash, image.other)}")
    saved = [image for image in report.images if image.problem is None]
    noun = "image" if len(saved) == 1 else "images"
    say(
        f"{len(saved)} {noun} corrected, {report.untouched} untouched"
        + (
            f", {len(report.images) - len(saved)} not saved"
            if len(saved) < len(report.images)
            else ""
        )
        + f": {report.output / 'panoptic.json'}"
    )


def _summary(image: "ImageReport") -> str:
    if image.problem is not None:
        return f"NOT SAVED, {image.problem}"
    kinds = [change.kind for change in image.changes]
    counts = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    return ", ".join([*counts, image.state])


def _clash_sentence(clash: "Clash", other: str | None) -> str:
    return (
        f"segment {clash.segment}: {escaped(other or 'somebody')} had saved {clash.stays} before, "
        f"which stays; yours was {clash.given_up}. Change it again if you are sure"
    )


def _sentence(change: "Change") -> str:
    what = f"{change.kind} {change.label} (segment {change.segment})"
    if change.before is not None:
        return f"{what}, was {change.before}"
    pixels = [
        f"{sign}{count:,}" for sign, count in (("+", change.gained), ("-", change.lost)) if count
    ]
    return f"{what}, {' '.join(pixels)} pixels" if pixels else what
