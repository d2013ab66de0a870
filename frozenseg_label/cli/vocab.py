"""`frozenseg-label vocab`: lists, shows, checks and creates vocabularies."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from frozenseg_label.annotation.annotate_folder import annotate
from frozenseg_label.cli.completion import complete_vocabulary, complete_weights
from frozenseg_label.cli.help import HelpfulGroup
from frozenseg_label.cli.options import FilePath, option_of
from frozenseg_label.cli.output import print_columns, print_json, say

if TYPE_CHECKING:
    from frozenseg_label.vocabulary import Category, Vocabulary

TEMPLATE = """\
# A vocabulary: what images are labelled with. All of CLIP's words will do, most of English.
name: {name}
description: ""
classes:
  # Things can be counted, stuff is a region. Synonyms help: the best match of all names counts.
  - {{name: cat, kind: thing, synonyms: [kitten]}}
  - {{name: dog, kind: thing}}
  - {{name: grass, kind: stuff}}
  # More a class can have: id (what label files carry), color: [R, G, B], supercategory: pet,
  # min_score: 0.2 (less probable segments are left out),
  # not: [statue] (a region that this word fits better does not get the class),
  # templates: ["a drawing of a {{}}"] (its own prompts for CLIP).
# Words that compete with the classes; a region that one of them wins stays unlabelled:
# background: [wall, floor]
"""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
weights_option = option_of(
    annotate, "--weights", shell_complete=complete_weights, help="Name or file of the weights."
)


@click.group(cls=HelpfulGroup)
def vocab() -> None:
    """List, show, check and create vocabularies."""


@vocab.command("list")
@as_json_option
def list_command(as_json: bool) -> None:
    """List the shipped vocabularies."""
    from frozenseg_label.vocabulary_files import shipped_counts

    rows = shipped_counts()
    if as_json:
        print_json(vocabularies=[asdict(row) for row in rows])
        return
    lines = [(row.name, f"{row.classes}", f"{row.things}", f"{row.stuff}") for row in rows]
    print_columns([("name", "classes", "things", "stuff"), *lines])


@vocab.command()
@click.argument("vocabulary", metavar="VOCABULARY", shell_complete=complete_vocabulary)
@weights_option
@as_json_option
def show(vocabulary: str, weights: str, as_json: bool) -> None:
    """Show the classes of VOCABULARY, a file or a shipped name.

    "seen" classes had masks in the training of the weights; "unseen" ones are known only by CLIP's
    words.
    """
    from frozenseg_label.vocabulary_files import read_vocabulary

    words = read_vocabulary(vocabulary)
    rows = list(zip(words.categories, _seen(words, weights), strict=True))
    if as_json:
        classes = [
            {
                "id": c.id,
                "name": c.name,
                "synonyms": c.synonyms,
                "kind": "thing" if c.is_thing else "stuff",
                "seen": is_seen,
                **_uses(c),
            }
            for c, is_seen in rows
        ]
        print_json(name=words.name, weights=weights, classes=classes, background=words.background)
        return
    lines = [
        (
            str(c.id),
            "thing" if c.is_thing else "stuff",
            "seen" if is_seen else "unseen",
            "; ".join(
                [", ".join(c.names), *(f"{key}: {_listed(v)}" for key, v in _uses(c).items())]
            ),
        )
        for c, is_seen in rows
    ]
    lines += [("", "background", "", word) for word in words.background]
    print_columns([("id", "kind", f"by {weights}", "names"), *lines])


@vocab.command()
@click.argument("vocabulary", metavar="VOCABULARY", shell_complete=complete_vocabulary)
@weights_option
@as_json_option
def check(vocabulary: str, weights: str, as_json: bool) -> None:
    """Check VOCABULARY, a file or a shipped name.

    Warns of names that belong to several classes, of words that the text encoder of the weights
    does not know, and of things that are stuff in most published lists. Only a file that cannot be
    used is an error.
    """
    from frozenseg_label.checkpoints.named_weights import find_weights
    from frozenseg_label.vocabulary_files import likely_stuff, read_vocabulary, shipped_vocabularies

    words = read_vocabulary(vocabulary)
    file = find_weights(weights)  # before torch is imported, which takes seconds
    from frozenseg_label.checkpoints.known_words import stored_tokens, unknown_words

    regions = [] if vocabulary in shipped_vocabularies() else likely_stuff(words)
    shared = _shared_names(words)
    stored = stored_tokens(file)
    unknown = {
        c.name: found
        for c in words.categories
        if (found := unknown_words((*c.names, *c.not_names), stored))
    }
    rows = zip(words.categories, _seen(words, weights), strict=True)
    unseen = [c.name for c, is_seen in rows if not is_seen]
    if as_json:
        print_json(
            name=words.name,
            weights=weights,
            classes=len(words),
            shared_names=shared,
            unknown_words=unknown,
            likely_stuff=regions,
            unseen=unseen,
        )
        return
    things = sum(c.is_thing for c in words.categories)
    say(f"{words.name}: {things} kinds of things, {len(words) - things} kinds of stuff")
    say(f"{len(words) - len(unseen)} of them were in the training of {weights}")
    for name, owners in shared.items():
        say(f"{name!r} names {len(owners)} classes ({', '.join(owners)}): the first is used")
    for name, found in unknown.items():
        say(f"{name}: {weights} does not know {', '.join(map(repr, found))}")
    if regions:
        say(f"likely stuff, regions that nobody counts: {', '.join(regions)}; {_as_stuff(regions)}")
    if unknown:
        say("Labels by words that the text encoder does not know are guesses.")
    elif not shared and not regions:
        say("no problems found")


@vocab.command()
@click.argument("file", type=FilePath(dir_okay=False, path_type=Path))
def init(file: Path) -> None:
    """Write a template of a vocabulary to FILE, a new file."""
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise click.UsageError(f"{file}: name it {file.with_suffix('.yaml').name}")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(TEMPLATE.format(name=json.dumps(file.stem)))
    except FileExistsError:
        raise click.UsageError(f"{file} exists already; choose another name") from None
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written ({error.strerror})") from error
    say(file)


def _seen(words: "Vocabulary", weights: str) -> tuple[bool, ...]:
    """Return for each class whether one of its names was in the weights' training."""
    from frozenseg_label.checkpoints.header import read_checkpoint_info
    from frozenseg_label.checkpoints.named_weights import find_weights
    from frozenseg_label.vocabulary import seen_categories

    return seen_categories(words, read_checkpoint_info(find_weights(weights)).seen_names)


def _uses(category: "Category") -> dict[str, "str | float | tuple[str, ...]"]:
    """Return what a class has beside names, id, kind and colour, by its keys in YAML."""
    facts = {
        "min_score": category.min_score,
        "not": category.not_names,
        "templates": category.templates,
        "supercategory": category.supercategory,
        "made_from": category.made_from,
    }
    return {key: value for key, value in facts.items() if value}


def _listed(value: "str | float | tuple[str, ...]") -> str:
    """Return a value in words."""
    return ", ".join(value) if isinstance(value, tuple) else f"{value}"


def _as_stuff(regions: Sequence[str]) -> str:
    """Return the advice how classes are marked as stuff."""
    return f"write `{regions[0]}: stuff` in a text file, or `kind: stuff` in YAML"


def _shared_names(words: "Vocabulary") -> dict[str, list[str]]:
    """Return the names that several classes have, each with those classes' main names."""
    from frozenseg_label.vocabulary import same_name

    owners: dict[str, list[str]] = {}
    for category in words.categories:
        for name in category.names:
            owners.setdefault(same_name(name), []).append(category.name)
    return {name: some for name, some in owners.items() if len(some) > 1}
