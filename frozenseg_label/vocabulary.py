"""The words that labels are made of: categories with synonyms, and the vocabulary of them."""

import colorsys
import difflib
import hashlib
import json
import os
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frozenseg_label.documents import LARGEST_YAML, parse_yaml, read_text, shortened
from frozenseg_label.errors import VocabularyError

Color = tuple[int, int, int]
_Model = TypeVar("_Model", bound=BaseModel)

LONGEST_NAME = 300  # characters; CLIP reads the first 77 tokens of a text
LARGEST_ID = 2**31 - 1  # that arrays of ids hold
MOST_NAMES = 100_000  # more would take CLIP's text tower days

NO_COLOR: Color = (0, 0, 0)  # black is how unlabelled pixels are drawn, so no category has it


@dataclass(frozen=True)
class Category:
    """One class that pixels can have.

    Attributes:
        name: what people call it; the first of the names that the text encoder is asked about.
        id: 0 or more, unique in its vocabulary; what label files carry.
        synonyms: other names for the same thing; the best match of all names counts.
        is_thing: thing (countable: cat, car) or stuff (a region: sky, grass).
        color: RGB 0..255 for pictures; black, or nothing given, takes `default_color(id)`.
        min_score: segments of this class below this probability are not kept, 0..1.
    """

    name: str
    id: int
    synonyms: tuple[str, ...] = ()
    is_thing: bool = True
    color: Color = NO_COLOR
    min_score: float = 0.0

    def __post_init__(self) -> None:
        if any(not name.strip() for name in self.names):
            raise VocabularyError(f"category {self.name!r} has an empty name; fill it in")
        for name in self.names:
            _refuse_unprintable(name)
        if len({same_name(name) for name in self.names}) < len(self.names):
            raise VocabularyError(f"category {self.name!r} lists one of its names twice; keep one")
        if self.id < 0:
            raise VocabularyError(f"category {self.name!r} has id {self.id}; ids start at 0")
        if self.id > LARGEST_ID:
            raise VocabularyError(f"category {self.name!r}: ids end at {LARGEST_ID}; lower its id")
        if not 0.0 <= self.min_score <= 1.0:
            raise VocabularyError(
                f"category {self.name!r} has min_score {self.min_score}; it must lie in 0..1"
            )
        if any(not 0 <= channel <= 255 for channel in self.color):
            raise VocabularyError(
                f"category {self.name!r} has color {self.color}; R, G and B must lie in 0..255"
            )
        if self.color == NO_COLOR:
            object.__setattr__(self, "color", default_color(self.id))

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its synonyms, the name first."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class Vocabulary:
    """The categories that an image is labelled with, in the order of the model's class scores.

    Attributes:
        name: how people and manifests call it.
        categories: at least one; names (upper and lower case alike) and ids are unique. A synonym
            may belong to several categories, as it does in published lists.
    """

    name: str
    categories: tuple[Category, ...]

    def __post_init__(self) -> None:
        if not self.categories:
            raise VocabularyError(f"vocabulary {self.name!r} is empty; it needs at least one class")
        _refuse_many(f"vocabulary {self.name!r}", sum(self.names_per_category))
        places = [f"class {number}" for number in range(1, len(self.categories) + 1)]
        _refuse_repeats(self.categories, places)

    def __len__(self) -> int:
        return len(self.categories)

    def all_names(self) -> tuple[str, ...]:
        """All S names, category by category, each category's own name before its synonyms."""
        return tuple(name for category in self.categories for name in category.names)

    @property
    def names_per_category(self) -> tuple[int, ...]:
        """How many of `all_names()` belong to each of the K categories; they sum to S."""
        return tuple(len(category.names) for category in self.categories)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that changes labels: names, order, ids, things, min_score."""
        facts = [[c.id, c.names, c.is_thing, float(c.min_score)] for c in self.categories]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @cached_property
    def _index(self) -> dict[int, int]:
        return {category.id: index for index, category in enumerate(self.categories)}

    def index_of(self, category_id: int) -> int:
        """The category's place in `categories`, 0..K-1."""
        if category_id not in self._index:
            raise ValueError(f"vocabulary {self.name!r} has no category of id {category_id}")
        return self._index[category_id]

    def by_id(self, category_id: int) -> Category:
        """The category that label files call by this id."""
        return self.categories[self.index_of(category_id)]


def same_name(name: str) -> str:
    """Return what two spellings of one name have in common; the only rule for names of classes.

    Case (CLIP reads all names in lower case), Unicode's forms and widths, and blanks do not count.
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _refuse_many(source: str, names: int) -> None:
    if names > MOST_NAMES:
        raise VocabularyError(
            f"{source}: {names} names, and {MOST_NAMES} are the most that a vocabulary may have; "
            "take some out"
        )


def _refuse_unprintable(name: str) -> None:
    """Raise where a name is no name: very long, or with characters that only steer a terminal."""
    if len(name) > LONGEST_NAME:
        raise VocabularyError(
            f"category {shortened(name)} has a name of {len(name)} characters; {LONGEST_NAME} are "
            "the most, shorten it"
        )
    if any(unicodedata.category(sign) in ("Cc", "Cs") and not sign.isspace() for sign in name):
        raise VocabularyError(
            f"category {name!r} has a character that cannot be printed; take it out"
        )


def seen_categories(vocabulary: "Vocabulary", seen_names: Iterable[str]) -> tuple[bool, ...]:
    """Return for each category whether one of its names is among those of a training."""
    seen = {same_name(name) for name in seen_names}
    return tuple(
        any(same_name(name) in seen for name in category.names)
        for category in vocabulary.categories
    )


def default_color(number: int) -> Color:
    """A bright colour; neighbouring numbers lie far apart on the colour circle.

    Steps of the golden ratio never close the circle, so the first hundreds of colours all differ.
    """
    hue = (number * 0.618033988749895) % 1.0
    saturation = (0.85, 0.55, 0.70)[number % 3]
    value = (1.0, 0.80, 0.65, 0.90)[number % 4]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def read_vocabulary(source: str | Path) -> Vocabulary:
    """The vocabulary in a YAML file, in a text file, or in the shipped file of that name.

    A text file has a name a line; `sky: stuff` says the kind, `sofa | couch` adds a synonym, and
    what follows `#` is a comment.
    """
    shipped = shipped_vocabularies()  # their names go first: a folder may be called the same
    path = shipped.get(str(source), Path(source))
    if not os.path.exists(path):  # noqa: PTH110 - a name that is too long is no file, and no error
        meant = _did_you_mean(path.stem, shipped) or f"; shipped are: {', '.join(shipped)}"
        raise VocabularyError(f"there is no vocabulary file {source}{meant}")
    text = read_text(path, VocabularyError, LARGEST_YAML)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read_yaml(path, text)
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines()]
    _refuse_many(f"{path}", len(lines))
    items = [(f"{path}, line {at}", line) for at, line in enumerate(lines, start=1) if line]
    return _assemble(path.stem, f"{path}", [(at, _parse_item(at, item)) for at, item in items])


def parse_classes(text: str) -> Vocabulary:
    """The vocabulary that a command line spells out: `cat, sofa | couch, sky: stuff`."""
    items = [
        (f"class {at} of {shortened(text)}", item)
        for at, item in enumerate(text.split(","), start=1)
    ]
    items = [(where, item) for where, item in items if item.strip()]  # "cat, dog," is fine
    return _assemble("classes", "--classes", [(at, _parse_item(at, item)) for at, item in items])


def shipped_vocabularies() -> dict[str, Path]:
    """Name and file of each vocabulary that comes with the package, sorted by name."""
    package = Path(__file__).parent  # a wheel has them inside it, a clone beside it
    inside = package / "vocabularies"
    folder = inside if inside.is_dir() else package.parent / "vocabularies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


class _Entry(BaseModel):
    """A class as a file spells it."""

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
    _refuse_many(f"{path}", len(document.classes))
    blocks = [] if root is None else root.value
    nodes = [item for key, block in blocks if key.value == "classes" for item in block.value]
    entries = []
    for node, item in zip(nodes, document.classes, strict=True):
        where = f"{path}, line {node.start_mark.line + 1}"
        item = item if isinstance(item, dict) else {"name": item}
        entries.append((where, _check(_Entry, where, item)))
    return _assemble(document.name or path.stem, f"{path}", entries)


def _check(model: type[_Model], where: str, data: object) -> _Model:
    """The data as that model; else one sentence about what is wrong with it."""
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
    """One `name | synonym: kind` of a text file or of the command line."""
    said = shortened(item)
    names, kind = item.rsplit(":", 1) if ":" in item else (item, "thing")
    if kind.strip() not in ("thing", "stuff"):
        raise VocabularyError(f"{where}: after the colon of {said}, write `thing` or `stuff`")
    if "," in names:
        raise VocabularyError(f"{where}: comma in {said}; a class a line, `|` before synonyms")
    name, *synonyms = (part.strip() for part in names.split("|"))
    return _check(_Entry, where, {"name": name, "synonyms": synonyms, "kind": kind.strip()})


def _assemble(name: str, source: str, entries: list[tuple[str, _Entry]]) -> Vocabulary:
    """The vocabulary of checked entries; where no class has an id, they are numbered from 1."""
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
    _refuse_repeats(categories, [where for where, _ in entries])
    return Vocabulary(name, tuple(categories))


def _refuse_repeats(categories: Sequence[Category], places: Sequence[str]) -> None:
    """Raise where a name or an id occurs twice; `places` say where each category was found."""
    first: dict[str | int, str] = {}
    for category, place in zip(categories, places, strict=True):
        for key in (same_name(category.name), category.id):
            if key in first:
                what = f"id {key}" if isinstance(key, int) else f"category {category.name!r}"
                raise VocabularyError(f"{what} stands twice ({first[key]}, {place}); keep one")
            first[key] = place


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion to end a message with, or nothing."""
    words, word = list(known), word[:100]
    near = [other for other in words if len(word) > 2 and word.casefold() in other]
    near += difflib.get_close_matches(word.casefold(), words, n=3)
    return f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
