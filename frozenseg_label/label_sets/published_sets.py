"""Published sets, known by the ids of their classes: shipped vocabularies have the same ids."""

from collections.abc import Collection, Mapping
from functools import cache

from frozenseg_label.vocabulary import Category, Vocabulary, default_color, same_name
from frozenseg_label.vocabulary_files import read_vocabulary

PUBLISHED = ("coco-panoptic-133", "ade20k-150", "cityscapes-19", "mapillary-vistas-65")

_LEAST_ALIKE = 0.5  # share of the names that have to be the same, or nearly so, at the same id


def as_published(vocabulary: Vocabulary) -> Mapping[int, Category] | None:
    """Return our classes of the published set that a vocabulary is, by id.

    None: it is none, or it has our names already.

    It is one if ids, kinds and colours agree; or, without the colours, if it has all ids of the
    set, and most of its names. Some tools write one kind for all classes: that says nothing about
    kinds, and counts as agreeing.
    """
    for name in PUBLISHED:
        published = {category.id: category for category in _shipped(name).categories}
        if _is(vocabulary, published):
            has_our_names = all(c.name == published[c.id].name for c in vocabulary.categories)
            return None if has_our_names else published
    return None


def _is(vocabulary: Vocabulary, published: Mapping[int, Category]) -> bool:
    categories = vocabulary.categories
    if any(category.id not in published for category in categories):
        return False
    pairs = [(category, published[category.id]) for category in categories]
    has_one_kind = len({category.is_thing for category in categories}) == 1
    if not has_one_kind and any(c.is_thing != p.is_thing for c, p in pairs):
        return False
    # Colours that were made from ids prove nothing.
    if all(c.color == p.color != default_color(c.id) for c, p in pairs):
        return True
    alike = sum(not _words(c.names).isdisjoint(_words(p.names)) for c, p in pairs)
    return len(pairs) == len(published) and alike >= _LEAST_ALIKE * len(pairs)


def _words(names: Collection[str]) -> set[str]:
    """Return the names, and their parts: `road, route` and `tree-merged` share one with `road`."""
    folded = [same_name(name).replace("-", ",") for name in names]
    return {part.strip() for name in folded for part in (name, *name.split(","))}


@cache
def _shipped(name: str) -> Vocabulary:
    return read_vocabulary(name)
