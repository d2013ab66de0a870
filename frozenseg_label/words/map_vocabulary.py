"""Makes a vocabulary of coarse classes from one of fine classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from frozenseg_label.documents import LARGEST_YAML, parse_yaml, read_text
from frozenseg_label.errors import VocabularyError
from frozenseg_label.vocabulary import Category, Vocabulary, same_name
from frozenseg_label.words.new_file import refuse_existing

Others = Literal["keep", "drop", "background"]
OTHERS: tuple[str, ...] = get_args(Others)


def map_vocabulary(
    vocabulary: str | Path,
    to: str | Path,
    output: str | Path,
    *,
    others: Others = "keep",
    renumber: bool = False,
) -> Vocabulary:
    """Write the vocabulary of coarse classes that a map makes, and return it.

    A coarse class has all names of its fine classes as synonyms, the id and the colour of the first
    of them, and their own names in `made_from`.

    Args:
        vocabulary: a file or a shipped name, with the fine classes.
        to: a YAML file with a line for each coarse class: `animal: [cat, dog]`.
        output: a new YAML file.
        others: what becomes of classes that the map does not name: they stay as they are, they are
            left out, or their names become background words.
        renumber: number the classes from 1.

    Returns:
        The vocabulary that was written.

    Example:
        >>> frozenseg_label.map_vocabulary(  # doctest: +SKIP
        ...     "stickers", "coarse.yaml", "animals.yaml", others="drop"
        ... )
    """
    from frozenseg_label.vocabulary_files import read_vocabulary, write_vocabulary

    if others not in OTHERS:
        raise ValueError(f"others must be one of {', '.join(OTHERS)}, got {others!r}")
    target = Path(output)
    refuse_existing(target)
    fine = read_vocabulary(vocabulary)
    coarse = coarse_vocabulary(target.stem, fine, _read_map(Path(to)), f"{to}", others, renumber)
    write_vocabulary(target, coarse, note=f"Made from {fine.name} by {Path(to).name}.")
    return coarse


def coarse_vocabulary(
    name: str,
    fine: Vocabulary,
    groups: Mapping[str, Sequence[str]],
    source: str,
    others: Others = "keep",
    renumber: bool = False,
) -> Vocabulary:
    """Return the vocabulary of the coarse classes.

    Args:
        name: of the new vocabulary.
        fine: the classes that are put together.
        groups: names of fine classes for each coarse one.
        source: of the groups, for messages.
        others: as of `map_vocabulary`.
        renumber: likewise.
    """
    from frozenseg_label.vocabulary_files import did_you_mean

    by_name = {same_name(category.name): category for category in fine.categories}
    taken: dict[str, str] = {}  # fine class -> coarse class
    categories = []
    for coarse, names in groups.items():
        parts = []
        for wanted in names:
            key = same_name(wanted)
            if key not in by_name:
                known = [category.name for category in fine.categories]
                meant = did_you_mean(wanted, known) or "; `vocab show` lists its classes"
                raise VocabularyError(f"{source}: {fine.name} has no class {wanted!r}{meant}")
            if key in taken:
                raise VocabularyError(
                    f"{source}: {wanted!r} is in {taken[key]!r} and in {coarse!r}; keep one"
                )
            taken[key] = coarse
            parts.append(by_name[key])
        categories.append(_coarse(coarse, parts, source))
    rest = [c for c in fine.categories if same_name(c.name) not in taken]
    background = fine.background
    if others == "keep":
        categories += rest
    elif others == "background":
        used = {same_name(n) for c in categories for n in c.names} | set(map(same_name, background))
        words = {same_name(word): word for c in rest for word in c.names}
        background += tuple(word for key, word in words.items() if key not in used)
    if renumber:
        categories = [replace(c, id=number) for number, c in enumerate(categories, start=1)]
    try:
        return Vocabulary(name, tuple(categories), background)
    except VocabularyError as error:
        raise VocabularyError(
            f"{source}: {error} (a class that the map does not name stays as it is: name it in the "
            "map, or leave such classes out with --others drop)"
        ) from None


def _read_map(path: Path) -> dict[str, list[str]]:
    """Return the names of fine classes for each coarse one."""
    data, _ = parse_yaml(read_text(path, VocabularyError, LARGEST_YAML), f"{path}", VocabularyError)
    form = "write a line for each coarse class, `animal: [cat, dog]`"
    if not isinstance(data, dict) or not data:
        raise VocabularyError(f"{path}: no map of classes; {form}")
    groups = {}
    for coarse, fine in data.items():
        names = fine if isinstance(fine, list) else [fine]
        if not names or not all(isinstance(name, str) for name in (coarse, *names)):
            raise VocabularyError(
                f"{path}: {coarse!r} has {fine!r} in place of names; {form} (quotes around a name "
                "that is a number, yes or no)"
            )
        groups[coarse] = names
    return groups


def _coarse(name: str, parts: Sequence[Category], source: str) -> Category:
    """Return the class that fine ones become."""
    first = parts[0]
    for part in parts:
        if part.is_thing != first.is_thing:
            thing, stuff = (first, part) if first.is_thing else (part, first)
            raise VocabularyError(
                f"{source}: {name!r} is made of things ({thing.name}) and stuff ({stuff.name}); "
                "make two classes of them, or change a kind in the fine vocabulary"
            )
        if part.templates != first.templates:
            raise VocabularyError(
                f"{source}: {first.name!r} and {part.name!r} have different templates, and a class "
                "has one set of them; make two classes, or change them in the fine vocabulary"
            )
    names = {same_name(word): word for part in parts for word in part.names}
    names.pop(same_name(name), None)
    rivals = {same_name(word): word for part in parts for word in part.not_names}
    supercategories = {part.supercategory for part in parts}
    return Category(
        name=name,
        id=first.id,
        synonyms=tuple(names.values()),
        is_thing=first.is_thing,
        color=first.color,
        min_score=min(part.min_score for part in parts),
        not_names=tuple(
            word for key, word in rivals.items() if key not in names and key != same_name(name)
        ),
        templates=first.templates,
        supercategory=first.supercategory if len(supercategories) == 1 else "",
        made_from=tuple(part.name for part in parts),
    )
