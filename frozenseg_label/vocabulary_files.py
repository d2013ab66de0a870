"""Reads vocabularies from YAML files, from text files, and from the command line."""

import difflib
import json
import logging
import os
import re
import reprlib
from collections.abc import Iterable
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
)

log = logging.getLogger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)


def read_vocabulary(source: str | Path) -> Vocabulary:
    """Return the vocabulary of a YAML file, of a text file, or of the shipped file of that name.

    A text file has one name a line; `sky: stuff` gives the kind, `sofa | couch` adds a synonym, and
    a comment begins with `#`.
    """
    shipped = shipped_vocabularies()  # before files: a folder may have the same name
    path = shipped.get(str(source), Path(source))
    log.debug("reading the vocabulary %s", path)
    if not os.path.exists(path):  # noqa: PTH110 - a name that is too long is no file, and no error
        meant = _did_you_mean(path.stem, shipped) or f"; shipped are: {', '.join(shipped)}"
        raise VocabularyError(f"there is no vocabulary file {source}{meant}")
    text = read_text(path, VocabularyError, LARGEST_YAML)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read_yaml(path, text)
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines()]
    refuse_many(f"{path}", len(lines))
    items = [(f"{path}, line {at}", line) for at, line in enumerate(lines, start=1) if line]
    return _assemble(path.stem, f"{path}", [(at, _parse_item(at, item)) for at, item in items])


def parse_classes(text: str) -> Vocabulary:
    """Return the vocabulary of a text like `cat, sofa | couch, sky: stuff`."""
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


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write a vocabulary as a YAML file, a class a line, which `read_vocabulary` reads."""
    lines = [f"name: {json.dumps(vocabulary.name, ensure_ascii=False)}", "classes:"]
    for category in vocabulary.categories:
        entry: dict[str, object] = {
            "id": category.id,
            "name": category.name,
            "kind": "thing" if category.is_thing else "stuff",
        }
        if category.synonyms:
            entry["synonyms"] = category.synonyms
        if category.color != default_color(category.id):
            entry["color"] = category.color
        if category.min_score:
            entry["min_score"] = category.min_score
        lines.append(f"  - {json.dumps(entry, ensure_ascii=False)}")  # JSON is YAML, too
    atomic_write(path, ("\n".join(lines) + "\n").encode(), error=VocabularyError)


class _Entry(BaseModel):
    """A class as it is written in a file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    synonyms: list[str] = []
    kind: Literal["thing", "stuff"] = "thing"
    id: int | None = None
    color: tuple[int, int, int] = Field(default=NO_COLOR, strict=False)
    min_score: float = 0.0


class _Document(BaseModel):
    """A whole YAML file; its classes are checked one by one, as `_Entry`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str | None = None
    description: str = ""
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
    return _assemble(document.name or path.stem, f"{path}", entries)


def _check(model: type[_Model], where: str, data: object) -> _Model:
    """Return the data as that model, or raise an error of one sentence."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    fault, known = faults[0], model.model_fields
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        message = f"unknown key {shortened(field)}"
        message += _did_you_mean(field, known) or f"; known are: {', '.join(known)}"
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


def _assemble(name: str, source: str, entries: list[tuple[str, _Entry]]) -> Vocabulary:
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
            )
        except VocabularyError as error:
            raise VocabularyError(f"{where}: {error}") from None
        categories.append(category)
    refuse_repeats(categories, [where for where, _ in entries])
    return Vocabulary(name, tuple(categories))


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion for the end of a message, or nothing."""
    words, word = list(known), word[:100]
    near = [other for other in words if len(word) > 2 and word.casefold() in other]
    near += difflib.get_close_matches(word.casefold(), words, n=3)
    return f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
