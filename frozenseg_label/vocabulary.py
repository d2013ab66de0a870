"""The words of labels: a category with its synonyms, and a vocabulary of categories."""

import colorsys
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from frozenseg_label.documents import shortened
from frozenseg_label.errors import VocabularyError

Color = tuple[int, int, int]

LONGEST_NAME = 300  # characters; CLIP reads the first 77 tokens of a text
LARGEST_ID = 2**31 - 1  # that arrays of ids hold
MOST_NAMES = 100_000  # more would take CLIP's text tower days

NO_COLOR: Color = (0, 0, 0)  # black is how unlabelled pixels are drawn, so no category has it


@dataclass(frozen=True)
class Category:
    """One class that pixels can have.

    Attributes:
        name: what people call it; the first of the names that the text encoder gets.
        id: 0 or more, unique in its vocabulary; what label files carry.
        synonyms: other names for the same thing; the best match of all names counts.
        is_thing: thing (countable: cat, car) or stuff (a region: sky, grass).
        color: RGB 0..255 for pictures; black means `default_color(id)`.
        min_score: segments of this class below this probability are not kept, 0..1.
        not_names: names of what is taken for it; a region that one of them fits better than all of
            `names` does not get this class.
        templates: its own prompts, with `{}` where a name goes; empty: the usual ones.
        supercategory: what COCO's files say beside it; empty: "thing" or "stuff".
        made_from: names of the finer classes that it was made from; empty: it was not.
    """

    name: str
    id: int
    synonyms: tuple[str, ...] = ()
    is_thing: bool = True
    color: Color = NO_COLOR
    min_score: float = 0.0
    not_names: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    supercategory: str = ""
    made_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_words(f"category {self.name!r}")
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

    def _check_words(self, who: str) -> None:
        """Raise where names or templates cannot be used; `who` begins the message."""
        who = f"category {self.name!r}"
        if any(not name.strip() for name in (*self.names, *self.not_names)):
            raise VocabularyError(f"{who} has an empty name; fill it in")
        for name in (*self.names, *self.not_names):
            _refuse_unprintable(who, name)
        if len({same_name(name) for name in self.names}) < len(self.names):
            raise VocabularyError(f"{who} lists one of its names twice; keep one")
        own = {same_name(name) for name in self.names}
        if wrong := [name for name in self.not_names if same_name(name) in own]:
            raise VocabularyError(
                f"{who} has {wrong[0]!r} among its names and under `not`; keep one"
            )
        for template in self.templates:
            if "{}" not in template or set("{}") & set(template.replace("{}", "")):
                raise VocabularyError(
                    f"{who} has the template {shortened(template)}; write {{}} where the name goes"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name and its synonyms, the name first."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class Vocabulary:
    """The categories that an image is labelled with, in the order of the model's class scores.

    Attributes:
        name: of the vocabulary, for people and manifests.
        categories: at least one; names (upper and lower case alike) and ids are unique. A synonym
            may belong to several categories, as it does in published lists.
        background: words that compete with the categories; a region that one of them wins stays
            unlabelled.
    """

    name: str
    categories: tuple[Category, ...]
    background: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.categories:
            raise VocabularyError(f"vocabulary {self.name!r} is empty; it needs at least one class")
        refuse_many(f"vocabulary {self.name!r}", len(self.all_words()))
        self._check_background()
        places = [f"class {number}" for number in range(1, len(self.categories) + 1)]
        refuse_repeats(self.categories, places)

    def __len__(self) -> int:
        return len(self.categories)

    def all_names(self) -> tuple[str, ...]:
        """Return all S names, category by category, each category's name before its synonyms."""
        return tuple(name for category in self.categories for name in category.names)

    def all_words(self) -> tuple[str, ...]:
        """Return all names, and the words that compete with them: `not_names`, `background`."""
        rivals = (name for category in self.categories for name in category.not_names)
        return (*self.all_names(), *rivals, *self.background)

    @property
    def names_per_category(self) -> tuple[int, ...]:
        """Return how many of `all_names()` belong to each of the K categories; they sum to S."""
        return tuple(len(category.names) for category in self.categories)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what changes labels.

        That is names, order, ids, kinds, min_score, not_names, templates and background. What is
        not used does not count, so vocabularies of earlier versions keep their fingerprints.
        """
        facts: list[object] = []
        for c in self.categories:
            own = {"not": c.not_names, "templates": c.templates}
            used = {key: words for key, words in own.items() if words}
            facts.append([c.id, c.names, c.is_thing, float(c.min_score), *([used] if used else ())])
        if self.background:
            facts.append({"background": self.background})
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @cached_property
    def words_fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the words only, in any order of the classes.

        Ids, kinds and `min_score` do not count: they change no class's meaning.
        """
        classes = sorted(
            [sorted(c.names), sorted(c.not_names), c.templates] for c in self.categories
        )
        facts = [classes, sorted(self.background)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _check_background(self) -> None:
        """Raise where a background word is no name, occurs twice, or is a name of a category."""
        owners = {same_name(n): c.name for c in self.categories for n in c.names}
        known: set[str] = set()
        for word in self.background:
            _refuse_unprintable("the background", word)
            key = same_name(word)
            if not key or key in known:
                problem = "is empty; take it out" if not key else "occurs twice; keep one"
                raise VocabularyError(f"background word {word!r} {problem}")
            if key in owners:
                raise VocabularyError(
                    f"background word {word!r} is a name of category {owners[key]!r} too; keep one"
                )
            known.add(key)

    @cached_property
    def ids_by_name(self) -> dict[str, int]:
        """Return the id of each category by its name, as `same_name` gives it."""
        return {same_name(category.name): category.id for category in self.categories}

    @cached_property
    def ids_by_any_name(self) -> dict[str, int]:
        """Return the id of each category by its name and its synonyms, likewise.

        A name comes before a synonym; a synonym of several categories is left out.
        """
        owners: dict[str, set[int]] = {}
        for category in self.categories:
            for synonym in category.synonyms:
                owners.setdefault(same_name(synonym), set()).add(category.id)
        return {key: min(ids) for key, ids in owners.items() if len(ids) == 1} | self.ids_by_name

    @cached_property
    def _index(self) -> dict[int, int]:
        return {category.id: index for index, category in enumerate(self.categories)}

    def index_of(self, category_id: int) -> int:
        """Return the category's place in `categories`, 0..K-1."""
        if category_id not in self._index:
            raise ValueError(f"vocabulary {self.name!r} has no category of id {category_id}")
        return self._index[category_id]

    def by_id(self, category_id: int) -> Category:
        """Return the category with this id, which label files have."""
        return self.categories[self.index_of(category_id)]


def same_name(name: str) -> str:
    """Return a name in the form in which two spellings of one class are equal; the only such rule.

    Case (CLIP reads all names in lower case), Unicode's forms and widths, and spaces do not count.
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def refuse_many(source: str, names: int) -> None:
    """Raise an error if there are more names than a vocabulary may have."""
    if names > MOST_NAMES:
        raise VocabularyError(
            f"{source}: {names} names, and {MOST_NAMES} are the most that a vocabulary may have; "
            "take some out"
        )


def _refuse_unprintable(who: str, name: str) -> None:
    """Raise where a name is no name: very long, or with characters that only steer a terminal."""
    if len(name) > LONGEST_NAME:
        raise VocabularyError(
            f"{shortened(who)} has a name of {len(name)} characters; {LONGEST_NAME} are the most, "
            "shorten it"
        )
    if any(unicodedata.category(sign) in ("Cc", "Cs") and not sign.isspace() for sign in name):
        raise VocabularyError(
            f"{who}: the name {name!r} has a character that cannot be printed; take it out"
        )


def seen_categories(vocabulary: "Vocabulary", seen_names: Iterable[str]) -> tuple[bool, ...]:
    """Return for each category whether one of its names was in a training."""
    seen = {same_name(name) for name in seen_names}
    return tuple(
        any(same_name(name) in seen for name in category.names)
        for category in vocabulary.categories
    )


def default_color(number: int) -> Color:
    """Return a bright colour; neighbouring numbers have very different ones.

    Steps of the golden ratio never close the circle, so the first hundreds of colours all differ.
    """
    hue = (number * 0.618033988749895) % 1.0
    saturation = (0.85, 0.55, 0.70)[number % 3]
    value = (1.0, 0.80, 0.65, 0.90)[number % 4]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def refuse_repeats(categories: Sequence[Category], places: Sequence[str]) -> None:
    """Raise an error if a name or an id occurs twice; `places` say where each category is."""
    first: dict[str | int, str] = {}
    for category, place in zip(categories, places, strict=True):
        for key in (same_name(category.name), category.id):
            if key in first:
                what = f"id {key}" if isinstance(key, int) else f"category {category.name!r}"
                raise VocabularyError(f"{what} occurs twice ({first[key]}, {place}); keep one")
            first[key] = place
