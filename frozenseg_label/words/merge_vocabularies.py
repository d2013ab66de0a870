"""Makes one vocabulary of several."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from frozenseg_label.errors import VocabularyError
from frozenseg_label.vocabulary import Category, Vocabulary, same_name
from frozenseg_label.words.new_file import refuse_existing

MOST_TOLD = 5  # clashes that a message spells out


def merge_vocabularies(
    vocabularies: Sequence[str | Path], output: str | Path, *, renumber: bool = False
) -> Vocabulary:
    """Write one vocabulary of all classes, and return it.

    A class of several vocabularies comes once, with all its names; what else it has is that of the
    first. Where kinds, ids or words clash, VocabularyError tells all clashes.

    Args:
        vocabularies: at least two files or shipped names.
        output: a new YAML file.
        renumber: number the classes from 1; else they keep their ids.

    Returns:
        The vocabulary that was written.

    Example:
        >>> frozenseg_label.merge_vocabularies(  # doctest: +SKIP
        ...     ["kitchen.yaml", "garden.yaml"], "home.yaml", renumber=True
        ... )
    """
    from frozenseg_label.vocabulary_files import read_vocabulary, write_vocabulary

    target = Path(output)
    refuse_existing(target)
    named = [(f"{source}", read_vocabulary(source)) for source in vocabularies]
    merged = _Merged()
    for source, vocabulary in named:
        for category in vocabulary.categories:
            merged.add(source, category)
        for word in vocabulary.background:
            merged.background.setdefault(same_name(word), (source, word))
    merged.refuse_clashes(renumber)
    categories = list(merged.categories.values())
    if renumber:
        categories = [replace(c, id=number) for number, c in enumerate(categories, start=1)]
    background = tuple(word for _, word in merged.background.values())
    result = Vocabulary(target.stem, tuple(categories), background)
    write_vocabulary(
        target, result, note=f"Merged from {', '.join(source for source, _ in named)}."
    )
    return result


@dataclass
class _Merged:
    """Classes and background words of all vocabularies so far, by `same_name`, with clashes."""

    categories: dict[str, Category] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # of each category
    background: dict[str, tuple[str, str]] = field(default_factory=dict)  # source, word
    clashes: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)  # clashes that new numbers would mend

    def add(self, source: str, category: Category) -> None:
        """Take a class in; what clashes with those before it is noted."""
        key = same_name(category.name)
        before = self.categories.get(key)
        if before is None:
            self.categories[key], self.sources[key] = category, source
            return
        first = self.sources[key]
        if before.is_thing != category.is_thing:
            kinds = ("a thing", "stuff") if before.is_thing else ("stuff", "a thing")
            self.clashes.append(
                f"{category.name!r} is {kinds[0]} in {first} and {kinds[1]} in {source}: correct "
                "one of them"
            )
        if before.id != category.id:
            self.ids.append(
                f"{category.name!r} has id {before.id} in {first} and {category.id} in {source}"
            )
        names = {same_name(name): name for name in (*before.names, *category.names)}
        rivals = {same_name(name): name for name in (*before.not_names, *category.not_names)}
        for word in sorted(names.keys() & rivals.keys()):
            self.clashes.append(
                f"{category.name!r} has {word!r} among its names in one of {first}, {source} and "
                "under `not` in the other: keep one"
            )
            del rivals[word]
        names.pop(key)
        self.categories[key] = replace(
            before, synonyms=tuple(names.values()), not_names=tuple(rivals.values())
        )

    def refuse_clashes(self, renumber: bool) -> None:
        """Raise where something clashes.

        Args:
            renumber: ids do not count.
        """
        clashes = list(self.clashes)
        owners = {same_name(n): key for key, c in self.categories.items() for n in c.names}
        for key, (source, word) in self.background.items():
            if key in owners:
                clashes.append(
                    f"{word!r} is in the background of {source} and a name of "
                    f"{self.categories[owners[key]].name!r} in {self.sources[owners[key]]}: take "
                    "one out"
                )
        if not renumber:
            clashes += self._clashes_of_ids()
        if clashes:
            more = f"; and {len(clashes) - MOST_TOLD} more" if len(clashes) > MOST_TOLD else ""
            told = "; ".join(clashes[:MOST_TOLD]) + more
            raise VocabularyError(f"the vocabularies clash: {told}")

    def _clashes_of_ids(self) -> list[str]:
        """Return in words which ids differ for one class, or are of two classes."""
        clashes, owners = list(self.ids), dict[int, str]()
        for key, category in self.categories.items():
            other = owners.setdefault(category.id, key)
            if other != key:
                clashes.append(
                    f"id {category.id} is {self.categories[other].name!r} in {self.sources[other]} "
                    f"and {category.name!r} in {self.sources[key]}"
                )
        remedy = ": number all classes anew with --renumber, or change ids in the files"
        return [clash + remedy if place == 0 else clash for place, clash in enumerate(clashes)]
