"""The words of a training: those of its label sets, their weights, what a model knows after it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from frozenseg_label.checkpoints.header import CheckpointInfo, TrainingCategory
from frozenseg_label.errors import TrainingError
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary import Category, Vocabulary, same_name


def join_vocabularies(
    vocabularies: Sequence[Vocabulary], shapes: Sequence[Vocabulary] = ()
) -> Vocabulary:
    """Return one vocabulary of all words; a class of several comes once, with all its synonyms.

    Args:
        shapes: of sets whose form may not say what is stuff: the kinds of the others count.
    """
    joined: dict[str, Category] = {}
    for place, vocabulary in enumerate([*vocabularies, *shapes]):
        for category in vocabulary.categories:
            key = same_name(category.name)
            before = joined.get(key)
            if before is None:
                joined[key] = replace(category, id=len(joined) + 1)
                continue
            if before.is_thing != category.is_thing and place < len(vocabularies):
                raise TrainingError(
                    f"{category.name!r} is a thing in one of the sets and stuff in another; "
                    "correct one of the vocabularies"
                )
            known = {same_name(name) for name in before.names}
            new = [name for name in category.synonyms if same_name(name) not in known]
            joined[key] = replace(before, synonyms=(*before.synonyms, *new))
    names = {same_name(name) for category in joined.values() for name in category.names}
    background = {
        same_name(word): word
        for vocabulary in vocabularies
        for word in vocabulary.background
        if same_name(word) not in names
    }
    return Vocabulary(
        " + ".join(dict.fromkeys(v.name for v in [*vocabularies, *shapes])),
        tuple(joined.values()),
        tuple(background.values()),
    )


def class_weights(counts: Mapping[str, int], settings: TrainSettings) -> dict[str, float]:
    """Return the weight of the targets of each class, by `same_name`; 1 for the most frequent one.

    Like LVIS's square-root sampling (Gupta et al. 2019, arXiv 1908.03195), but as a weight: a class
    that is n times rarer weighs n^power.
    """
    most = max(counts.values())
    power, limit = settings.rare_class_power, settings.max_rare_weight
    return {same_name(name): min((most / n) ** power, limit) for name, n in counts.items()}


def trained_categories(
    info: CheckpointInfo, vocabulary: Vocabulary, named: Mapping[str, int]
) -> tuple[TrainingCategory, ...]:
    """Return the training vocabulary of a model that has also learnt the named classes.

    Old classes stay and new ones follow; a new name of an old class joins the names of the old one.
    """
    categories = list(info.categories)
    place = {same_name(name): i for i, c in enumerate(categories) for name in c.names}
    for category in vocabulary.categories:
        if category.name not in named:
            continue
        names = {same_name(name): name for name in category.names}
        known = next((place[name] for name in names if name in place), None)
        if known is None:
            place |= dict.fromkeys(names, len(categories))
            categories.append(TrainingCategory(names=category.names, is_thing=category.is_thing))
        else:
            old = categories[known]
            further = {key: name for key, name in names.items() if key not in place}
            categories[known] = old.model_copy(update={"names": (*old.names, *further.values())})
            place |= dict.fromkeys(further, known)
    return tuple(categories)
