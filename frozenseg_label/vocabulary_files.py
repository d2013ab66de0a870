"""Reads vocabularies from YAML and text files and from the command line; writes YAML files."""

import difflib
import itertools
import logging
import math
import os
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frozenseg_label.documents import LARGEST_YAML, parse_yaml, read_text, shortened
from frozenseg_label.errors import VocabularyError
from frozenseg_label.files import atomic_write
from frozenseg_label.vocabulary import (
    NO_COLOR,
    Category,
    Vocabulary,
    default_color,
    refuse_many,
    refuse_repeats,
    same_name,
)

log = logging.getLogger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)
_COUNTS = re.compile(r"Counts: (\d+) classes \((\d+) things, (\d+) stuff\)")


def read_vocabulary(source: str | Path) -> Vocabulary:
    """Return the vocabulary of a YAML file, of a text file, or of the shipped file of that name.

    A text file has one name a line; `sky: stuff` gives the kind, `sofa | couch` adds a synonym, and
    a comment begins with `#`.

    Returns:
        The vocabulary; without ids in the file, its classes are numbered from 1.

    Example:
        >>> len(frozenseg_label.read_vocabulary("ade20k-150"))
        150
    """
    shipped = shipped_vocabularies()  # before files: a folder may have the same name
    path = shipped.get(str(source), Path(source))
    log.debug("reading the vocabulary %s", path)
    if not os.path.exists(path):  # noqa: PTH110 - a name that is too long is no file, and no error
        meant = did_you_mean(path.stem, shipped) or f"; shipped are: {', '.join(shipped)}"
        raise VocabularyError(f"there is no vocabulary file {source}{meant}")
    text = read_text(path, VocabularyError, LARGEST_YAML)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read_yaml(path, text)
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines()]
    refuse_many(f"{path}", len(lines))
    items = [(f"{path}, line {at}", line) for at, line in enumerate(lines, start=1) if line]
    return _assemble(path.stem, f"{path}", [(at, _parse_item(at, item)) for at, item in items])


def given_vocabulary(given: str | Path | Vocabulary) -> Vocabulary:
    """Return a vocabulary that is given as it is, by its file, or by its shipped name."""
    return given if isinstance(given, Vocabulary) else read_vocabulary(given)


def parse_classes(text: str) -> Vocabulary:
    """Read a vocabulary from a text like `cat, sofa | couch, sky: stuff`.

    Returns:
        The vocabulary; its classes are numbered from 1.

    Example:
        >>> frozenseg_label.parse_classes("cat, sky: stuff").by_id(2).name
        'sky'
    """
    items = [
        (f"class {at} of {shortened(text)}", item)
        for at, item in enumerate(text.split(","), start=1)
    ]
    items = [(where, item) for where, item in items if item.strip()]  # "cat, dog," is fine
    return _assemble("classes", "--classes", [(at, _parse_item(at, item)) for at, item in items])


def shipped_vocabularies() -> dict[str, Path]:
    """Return name and file of each vocabulary that comes with the package, sorted by name."""
    package = Path(__file__).parent  # a wheel has them inside it, a clone beside it
    inside = package / "vocabularies"
    folder = inside if inside.is_dir() else package.parent / "vocabularies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def write_vocabulary(path: Path, vocabulary: Vocabulary, *, note: str = "") -> None:
    """Write a vocabulary as a YAML file, a class a line, which `read_vocabulary` reads.

    Args:
        note: a comment at the top.
    """
    comment = [f"# {line}".rstrip() for line in note.splitlines()]
    lines = [*comment, f"name: {in_yaml(vocabulary.name)}"]
    if vocabulary.background:
        lines.append(f"background: {in_yaml(list(vocabulary.background))}")
    lines.append("classes:")
    lines += [f"  - {in_yaml(yaml_entry(category))}" for category in vocabulary.categories]
    atomic_write(path, ("\n".join(lines) + "\n").encode(), error=VocabularyError)


def yaml_entry(category: Category) -> dict[str, object]:
    """Return a class as it is written in a file; what it does not use is left out."""
    entry: dict[str, object] = {
        "id": category.id,
        "name": category.name,
        "kind": "thing" if category.is_thing else "stuff",
    }
    optional = {
        "synonyms": list(category.synonyms),
        "color": [] if category.color == default_color(category.id) else list(category.color),
        "min_score": category.min_score,
        "not": list(category.not_names),
        "templates": list(category.templates),
        "supercategory": category.supercategory,
        "made_from": list(category.made_from),
    }
    return entry | {key: value for key, value in optional.items() if value}


def in_yaml(value: object) -> str:
    """Return a value in YAML, in one line."""
    import yaml

    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf
    )
    return text.removesuffix("...\n").strip()


@dataclass(frozen=True)
class VocabularyCounts:
    """How many classes a vocabulary has."""

    name: str
    classes: int
    things: int
    stuff: int


def shipped_counts() -> list[VocabularyCounts]:
    """Return the counts of each shipped vocabulary, as its header tells them.

    The classes are not read, which takes a second for all files together.
    """
    found = []
    for name, path in shipped_vocabularies().items():
        with path.open(encoding="utf-8") as file:
            header = "".join(itertools.takewhile(lambda line: line.startswith("#"), file))
        counts = _COUNTS.search(" ".join(header.replace("#", " ").split()))
        if counts is None:
            raise VocabularyError(f"{path}: its header tells no counts; install it again")
        found.append(VocabularyCounts(name, *map(int, counts.groups())))
    return found


def likely_stuff(words: Vocabulary) -> list[str]:
    """Return the names of things that most shipped vocabularies call stuff, such as sky or wall.

    Vocabularies in which all classes are stuff do not count: their sources tell no kinds.
    """
    votes: Counter[str] = Counter()  # name -> how many call it stuff, less how many a thing
    for shipped in shipped_vocabularies():
        categories = read_vocabulary(shipped).categories
        if any(category.is_thing for category in categories):
            for category in categories:
                names = {same_name(name) for name in category.names}
                votes.update(dict.fromkeys(names, -1 if category.is_thing else 1))
    things = (category.name for category in words.categories if category.is_thing)
    return [name for name in things if votes[same_name(name)] > 0]


class _Entry(BaseModel):
    """A class as it is written in a file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    synonyms: list[str] = []
    kind: Literal["thing", "stuff"] = "thing"
    id: int | None = None
    color: tuple[int, int, int] = Field(default=NO_COLOR, strict=False)
    min_score: float = 0.0
    not_names: list[str] = Field(default=[], alias="not")
    templates: list[str] = []
    supercategory: str = ""
    made_from: list[str] = []


class _Document(BaseModel):
    """A whole YAML file; its classes are checked one by one, as `_Entry`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str | None = None
    description: str = ""
    background: list[str] = []
    classes: list[object]


def _read_yaml(path: Path, text: str) -> Vocabulary:
    data, root = parse_yaml(text, f"{path}", VocabularyError)
    data = {"classes": []} if data is None else data
    document = _check(_Document, f"{path}", data)
    refuse_many(f"{path}", len(document.classes))
    blocks = [] if root is None else root.value
    nodes = [item for key, block in blocks if key.value == "classes" for item in block.value]
    entries = []
    for node, item in zip(nodes, document.classes, strict=True):
        where = f"{path}, line {node.start_mark.line + 1}"
        item = item if isinstance(item, dict) else {"name": item}
        entries.append((where, _check(_Entry, where, item)))
    try:
        return _assemble(document.name or path.stem, f"{path}", entries, document.background)
    except VocabularyError as error:
        if f"{error}".startswith(f"{path}"):
            raise
        raise VocabularyError(f"{path}: {error}") from None


def _check(model: type[_Model], where: str, data: object) -> _Model:
    """Return the data as that model, or raise an error of one sentence."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    fault = faults[0]
    known = [field.alias or name for name, field in model.model_fields.items()]
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        message = f"unknown key {shortened(field)}"
        message += did_you_mean(field, known) or f"; known are: {', '.join(known)}"
    elif fault["type"] == "missing":
        message = f"`{field}:` is missing; add it"
    else:
        message = f"{field or 'content'} is {reprlib.repr(fault['input'])}; {fault['msg'].lower()}"
        message += " (put quotes around it)" if fault["type"] == "string_type" else ""
    raise VocabularyError(f"{where}: {message}")


def _parse_item(where: str, item: str) -> _Entry:
    """Return the class that `name | synonym: kind` describes."""
    said = shortened(item)
    names, kind = item.rsplit(":", 1) if ":" in item else (item, "thing")
    if kind.strip() not in ("thing", "stuff"):
        raise VocabularyError(f"{where}: after the colon of {said}, write `thing` or `stuff`")
    if "," in names:
        raise VocabularyError(f"{where}: comma in {said}; a class a line, `|` before synonyms")
    name, *synonyms = (part.strip() for part in names.split("|"))
    return _check(_Entry, where, {"name": name, "synonyms": synonyms, "kind": kind.strip()})


def _assemble(
    name: str, source: str, entries: list[tuple[str, _Entry]], background: Sequence[str] = ()
) -> Vocabulary:
    """Return the vocabulary of checked entries; if no class has an id, they are numbered from 1."""
    if not entries:
        raise VocabularyError(f"{source}: the vocabulary is empty; list at least one class")
    without_id = [where for where, entry in entries if entry.id is None]
    if 0 < len(without_id) < len(entries):
        raise VocabularyError(f"{without_id[0]}: no id, while other classes have one; add it")
    categories = []
    for number, (where, entry) in enumerate(entries, start=1):
        try:
            category = Category(
                name=entry.name,
                id=number if entry.id is None else entry.id,
                synonyms=tuple(entry.synonyms),
                is_thing=entry.kind == "thing",
                color=entry.color,
                min_score=entry.min_score,
                not_names=tuple(entry.not_names),
                templates=tuple(entry.templates),
                supercategory=entry.supercategory,
                made_from=tuple(entry.made_from),
            )
        except VocabularyError as error:
            raise VocabularyError(f"{where}: {error}") from None
        categories.append(category)
    refuse_repeats(categories, [where for where, _ in entries])
    return Vocabulary(name, tuple(categories), tuple(background))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion for the end of a message, or nothing."""
    words, word = list(known), word[:100]
    near = [other for other in words if len(word) > 2 and word.casefold() in other]
    near += difflib.get_close_matches(word.casefold(), words, n=3)
    return f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
