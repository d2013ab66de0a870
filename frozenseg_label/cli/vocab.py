"""`frozenseg-label vocab`: lists, shows, checks, creates, maps and merges vocabularies."""

import json
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

import click

from frozenseg_label.annotation.annotate_folder import annotate
from frozenseg_label.cli.completion import complete_vocabulary, complete_weights
from frozenseg_label.cli.help import HelpfulGroup
from frozenseg_label.cli.json_forms import VocabularyList
from frozenseg_label.cli.options import FilePath, option_of
from frozenseg_label.cli.output import print_columns, print_json, say
from frozenseg_label.words.check_vocabulary import check_vocabulary
from frozenseg_label.words.map_vocabulary import OTHERS, Others, map_vocabulary
from frozenseg_label.words.merge_vocabularies import merge_vocabularies

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

MAP_EXAMPLES = """\b
The map has a line for each coarse class, with the names of its fine classes:
    animal: [cat, dog, horse]
    vehicle: [car, bus]

\b
Examples:
  frozenseg-label vocab map coco-panoptic-133 --to farm.yaml -o coarse.yaml
  frozenseg-label vocab map lvis-1203 --to farm.yaml -o few.yaml --others drop
"""

MERGE_EXAMPLES = """\b
Examples:
  frozenseg-label vocab merge mine.yaml hers.yaml -o ours.yaml
  frozenseg-label vocab merge cityscapes-19 mine.txt -o street.yaml --renumber
"""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
weights_option = option_of(
    annotate, "--weights", shell_complete=complete_weights, help="Name or file of the weights."
)
output_option = click.option(
    "-o", "--output", required=True, type=FilePath(path_type=Path), help="A new YAML file."
)


@click.group(cls=HelpfulGroup)
def vocab() -> None:
    """List, show, check, create, map and merge vocabularies."""


@vocab.command("list")
@as_json_option
def list_command(as_json: bool) -> None:
    """List the shipped vocabularies."""
    from frozenseg_label.vocabulary_files import shipped_counts

    rows = shipped_counts()
    if as_json:
        print_json(**asdict(VocabularyList(rows)))
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
            _described(c),
        )
        for c, is_seen in rows
    ]
    lines += [("", "background", "", word) for word in words.background]
    print_columns([("id", "kind", f"by {weights}", "names"), *lines])


@vocab.command()
@click.argument("vocabulary", metavar="VOCABULARY", shell_complete=complete_vocabulary)
@option_of(
    check_vocabulary,
    "--weights",
    shell_complete=complete_weights,
    help="Name or file of the weights.",
)
@option_of(
    check_vocabulary,
    "--run",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    metavar="OUT",
    help="A run folder, to see which classes always lose there.",
)
@as_json_option
def check(vocabulary: str, weights: str, run: Path | None, as_json: bool) -> None:
    """Check VOCABULARY, a file or a shipped name.

    Warns of names that belong to several classes or that the text encoder of the weights hardly
    tells apart, of words that it does not know, of things that are stuff in most published lists,
    of a vocabulary without stuff, and with --run of classes that always lose to another one. Below
    each finding is what to write instead. Only a file that cannot be used is an error.
    """
    found = check_vocabulary(vocabulary, weights, run)
    words, evidence = found.vocabulary, found.evidence
    if as_json:
        print_json(
            name=words.name,
            weights=weights,
            classes=len(words),
            shared_names=found.shared_names,
            unknown_words=found.unknown_words,
            likely_stuff=found.likely_stuff,
            unseen=found.unseen,
            findings=[asdict(finding) for finding in found.findings],
            run=evidence and {"images": evidence.images, "unlabelled": evidence.unlabelled_share},
        )
        return
    things = sum(c.is_thing for c in words.categories)
    say(f"{words.name}: {things} kinds of things, {len(words) - things} kinds of stuff")
    say(f"{len(words) - len(found.unseen)} of them were in the training of {weights}")
    if evidence is not None:
        share = f"{evidence.unlabelled_share:.0%} of their area is unlabelled"
        say(f"{run}: {evidence.images} images, {share}")
    said = ""
    for finding in found.findings:
        say(finding.message)
        if finding.suggestion != said:
            say(indent(finding.suggestion, "    "))
        said = finding.suggestion
    if found.unknown_words:
        say("Labels by words that the text encoder does not know are guesses.")
    if not found.findings:
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


@vocab.command("map", epilog=MAP_EXAMPLES)
@click.argument("vocabulary", metavar="VOCABULARY")
@click.option("--to", required=True, type=FilePath(path_type=Path), help="The map, a YAML file.")
@output_option
@option_of(
    map_vocabulary,
    "--others",
    type=click.Choice(OTHERS),
    help="Classes that the map does not name: they stay, go, or become background words.",
)
@option_of(map_vocabulary, "--renumber", is_flag=True, help="Number the classes from 1.")
def map_command(vocabulary: str, to: Path, output: Path, others: Others, renumber: bool) -> None:
    """Make coarse classes out of fine ones.

    VOCABULARY is a file or a shipped name. A coarse class has all their names as synonyms, the id
    of the first, and remembers in `made_from` what it was made from.
    """
    made = map_vocabulary(vocabulary, to, output, others=others, renumber=renumber)
    coarse = sum(bool(category.made_from) for category in made.categories)
    say(f"{output}: {coarse} classes of the map, {len(made) - coarse} as they were")


@vocab.command(epilog=MERGE_EXAMPLES)
@click.argument("vocabularies", metavar="VOCABULARY VOCABULARY...", nargs=-1, required=True)
@output_option
@option_of(merge_vocabularies, "--renumber", is_flag=True, help="Number the classes from 1.")
def merge(vocabularies: tuple[str, ...], output: Path, renumber: bool) -> None:
    """Make one vocabulary of several, files or shipped names.

    A class of several comes once, with all its names; its other facts are those of the first.
    Clashes of kinds, ids and words are told, and nothing is written.
    """
    if len(vocabularies) < 2:
        raise click.UsageError("name at least two vocabularies")
    made = merge_vocabularies(vocabularies, output, renumber=renumber)
    say(f"{output}: {len(made)} classes; `frozenseg-label vocab check {output}` looks at them")


def _seen(words: "Vocabulary", weights: str) -> tuple[bool, ...]:
    """Return for each class whether one of its names was in the weights' training."""
    from frozenseg_label.checkpoints.header import read_checkpoint_info
    from frozenseg_label.checkpoints.named_weights import find_weights
    from frozenseg_label.vocabulary import seen_categories

    return seen_categories(words, read_checkpoint_info(find_weights(weights)).seen_names)


def _uses(category: "Category") -> dict[str, object]:
    """Return what a class has beside names, id, kind and colour, by its keys in YAML."""
    from frozenseg_label.vocabulary_files import yaml_entry

    shown = ("id", "name", "kind", "synonyms", "color")
    return {key: value for key, value in yaml_entry(category).items() if key not in shown}


def _described(category: "Category") -> str:
    """Return a class in one line: its names, and what else it has."""
    parts = [", ".join(category.names)]
    for key, value in _uses(category).items():
        parts.append(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
    return "; ".join(parts)
