"""Which class of one set is which of another: the one rule for classes of foreign sets.

Published files spell names otherwise than vocabularies do: `tree-merged` (COCO), `road, route`
(ADE20K). Import, evaluation and training all ask here.
"""

import difflib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from frozenseg_label.errors import FormatError
from frozenseg_label.label_sets.class_map import ClassMap
from frozenseg_label.label_sets.class_report import HOW, ClassMatch, ClassReport, How, either
from frozenseg_label.label_sets.published_sets import as_published
from frozenseg_label.vocabulary import Category, Vocabulary, same_name

_SUFFIXES = ("-merged", "-other", "-stuff")  # of COCO panoptic and COCO-Stuff
_NEAREST = 3
_LOOKED_UP = 50  # where more classes have no match, the sets are about other things

_Keys = Callable[[Category], Collection[str]]


@dataclass(frozen=True)
class ClassMatches:
    """The classes there that are known here.

    Attributes:
        ids: category id there -> category id here.
        ignored: ids there of the classes that the class map leaves out.
        report: all of it in names.
    """

    ids: Mapping[int, int]
    ignored: frozenset[int]
    report: ClassReport


def match_classes(
    there: Vocabulary,
    here: Vocabulary,
    class_map: ClassMap | None = None,
    *,
    compare_kinds: bool = True,
) -> ClassMatches:
    """Find for each class there the one here that it means; several there may mean one here.

    Tried in this order (see `HOW`); only where one class alone is meant, the answer counts:
    the class map; the name; the name without case and blanks; the place in a published set, where
    the whole set there is one; a name that is a synonym on the other side; the names in a comma
    list, the first one first; the name without the suffixes of published sets. The published set
    comes before synonyms: it is sure, and vocabularies have odd synonyms.

    Args:
        class_map: what the user says; FormatError where a name here is none.
        compare_kinds: both sets tell things from stuff, so that the report can compare.
    """
    said, ignored, unused = _from_map(there, here, class_map or {})
    found: dict[int, tuple[Category, How]] = dict(said)
    ambiguous: dict[str, tuple[str, ...]] = {}
    left = [c for c in there.categories if c.id not in found and c.id not in ignored]
    for step in _steps(there, here):
        if not left:
            break
        taken = {category.id for category, _ in found.values()} if step.gives_way else set()
        by_key: dict[str, list[Category]] = defaultdict(list)
        for category in here.categories:
            for key in step.here(category) if category.id not in taken else ():
                by_key[key].append(category)
        for category in left:
            if step.gives_way and category.name in ambiguous:
                continue  # that the others are taken proves nothing
            meant = {c.id: c for key in step.there(category) for c in by_key.get(key, ())}
            if len(meant) == 1:
                [found_here] = meant.values()
                found[category.id] = (found_here, step.how)
            elif meant:
                ambiguous.setdefault(category.name, tuple(c.name for c in meant.values()))
        left = [category for category in left if category.id not in found]
    names = [category.name for category in left]
    report = _report(there, found, compare_kinds)
    return ClassMatches(
        {id_: category.id for id_, (category, _) in found.items()},
        ignored,
        replace(
            report,
            ignored=tuple(there.by_id(id_).name for id_ in sorted(ignored)),
            ambiguous={n: ambiguous[n] for n in names if n in ambiguous},
            unmatched=candidates([name for name in names if name not in ambiguous], here),
            unused=unused,
        ),
    )


def candidates(names: Sequence[str], vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    """Return each name with the classes that look most like it, for the first names only."""
    return {
        name: nearest(name, vocabulary) if place < _LOOKED_UP else ()
        for place, name in enumerate(names)
    }


def nearest(name: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return the classes whose names look most like this one, the nearest first; may be none."""
    of_name = {_plain(n): c.name for c in reversed(vocabulary.categories) for n in c.names}
    key = _plain(name)
    words = set(key.replace(",", "").split())
    near = difflib.get_close_matches(key, of_name, n=_NEAREST)
    near += [other for other in of_name if key in other or not words.isdisjoint(other.split())]

    def distance(other: str) -> tuple[bool, bool, float]:
        ratio = difflib.SequenceMatcher(None, key, other).ratio()
        return words.isdisjoint(other.split()), key not in other, -ratio

    near = sorted(set(near), key=distance)
    return tuple(dict.fromkeys(of_name[other] for other in near))[:_NEAREST]


class _Step(NamedTuple):
    """One way to know a class: what it is called there and here, compared.

    `gives_way`: a class here that is known already is not meant again.
    """

    how: How
    there: _Keys
    here: _Keys
    gives_way: bool = False


def _steps(there: Vocabulary, here: Vocabulary) -> Iterator[_Step]:
    yield _Step("name", lambda category: (category.name,), lambda category: (category.name,))
    yield _Step("case", _name, _name)
    published, ours = as_published(there), as_published(here)
    if published is not None or ours is not None:
        name_there, name_here = partial(_name, ids=published), partial(_name, ids=ours)
        yield _Step("published", name_there, name_here)
        yield _Step("published", name_there, partial(_names, ids=ours))
        yield _Step("published", partial(_names, ids=published), name_here)
    yield _Step("synonym", _name, _names)
    yield _Step("synonym", _names, _name, gives_way=True)
    yield _Step("list", _first, _first)
    yield _Step("list", _first, _names)
    yield _Step("list", _entries, _names, gives_way=True)
    yield _Step("list", _names, _entries, gives_way=True)
    yield _Step("suffix", lambda c: {_plain(c.name)}, lambda c: {_plain(c.name)})
    yield _Step("suffix", lambda c: {_plain(c.name)}, lambda c: {_plain(n) for n in c.names})


def _name(category: Category, ids: Mapping[int, Category] | None = None) -> Collection[str]:
    """Return its name, or that of the published class in its place."""
    return {same_name((ids or {}).get(category.id, category).name)}


def _names(category: Category, ids: Mapping[int, Category] | None = None) -> Collection[str]:
    return {same_name(name) for name in (ids or {}).get(category.id, category).names}


def _first(category: Category) -> Collection[str]:
    return {same_name(category.name.split(",")[0])}


def _entries(category: Category) -> Collection[str]:
    return {same_name(entry) for entry in category.name.split(",")}


def _plain(name: str) -> str:
    """Return the words of a name in order of the alphabet, without suffixes of published sets."""
    key = same_name(name)
    while key.endswith(_SUFFIXES):
        key = key.rpartition("-")[0]
    return " ".join(sorted(key.replace("-", " ").replace("_", " ").split()))


def _from_map(
    there: Vocabulary, here: Vocabulary, class_map: ClassMap
) -> tuple[dict[int, tuple[Category, How]], frozenset[int], tuple[str, ...]]:
    """Return the classes that the user names, those to leave out, and names of no class there."""
    ours = {same_name(category.name): category for category in here.categories}
    found: dict[int, tuple[Category, How]] = {}
    ignored, unused = set(), []
    for name, meant in class_map.items():
        id_ = there.ids_by_name.get(same_name(name))
        if id_ is None:
            unused.append(name)
        elif meant is None:
            ignored.add(id_)
        elif same_name(meant) in ours:
            found[id_] = (ours[same_name(meant)], "map")
        else:
            near = nearest(meant, here)
            raise FormatError(
                f"--class-map says {name!r} is {meant!r}, which is no class of {here.name}"
                + (f"; did you mean {either(near)}?" if near else "")
            )
    return found, frozenset(ignored), tuple(unused)


def _report(
    there: Vocabulary,
    found: Mapping[int, tuple[Category, How]],
    compare_kinds: bool,
) -> ClassReport:
    claims: dict[str, list[str]] = defaultdict(list)
    matches = []
    for category in there.categories:
        if category.id in found:
            meant, how = found[category.id]
            claims[meant.name].append(category.name)
            is_thing = category.is_thing if compare_kinds else meant.is_thing
            match = ClassMatch(category.name, meant.name, how, is_thing, meant.is_thing)
            matches.append(match)
    counts = Counter(match.how for match in matches)
    return ClassReport(
        counts={how: counts[how] for how in HOW if how in counts},
        matches=tuple(m for m in matches if m.how != "name" or m.is_thing_there != m.is_thing_here),
        merged={name: tuple(names) for name, names in claims.items() if len(names) > 1},
        other_kind=tuple(m.there for m in matches if m.is_thing_there != m.is_thing_here),
    )
