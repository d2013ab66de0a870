"""One vocabulary for the classes of predictions and truth, whatever the two sets call them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff
from frozenseg_label.label_sets.class_map import ClassMap
from frozenseg_label.label_sets.class_report import ClassReport, listed
from frozenseg_label.label_sets.match_classes import candidates, match_classes
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Category, Vocabulary, same_name


@dataclass(frozen=True)
class CommonVocabulary:
    """The classes of two sets, matched.

    Attributes:
        vocabulary: the classes of the truth, then those that only the predictions have.
        judged: ids of the classes of the truth. The others can be right nowhere: segments of theirs
            are spurious to nobody, but what they cover is missed.
        predicted_ids: id in the predictions -> id here; the class map leaves the others out.
        true_ids: the same of the truth.
        only_predicted, only_true: names of the classes that are missing from the other set.
        report: how the classes of the predictions were found in the truth.
        near_true: the names in the predictions that look most like those in `only_true`.
        kinds_of_truth: the kinds are those of the truth; False: of the predictions.
    """

    vocabulary: Vocabulary
    judged: frozenset[int]
    predicted_ids: Mapping[int, int]
    true_ids: Mapping[int, int]
    only_predicted: tuple[str, ...]
    only_true: tuple[str, ...]
    report: ClassReport
    near_true: Mapping[str, tuple[str, ...]]
    kinds_of_truth: bool = True

    def predicted(self, said: PanopticMap) -> PanopticMap:
        """Return a predicted map with the ids of this vocabulary."""
        return self._translated(said, self.predicted_ids)

    def true(self, said: PanopticMap) -> PanopticMap:
        """Return a true map with the ids of this vocabulary."""
        return self._translated(said, self.true_ids)

    def notes(self, predicted: Path, truth: Path) -> Iterator[str]:
        """Yield what a user should know about the classes of two sets, a sentence each."""
        report, kinds = self.report, truth if self.kinds_of_truth else predicted
        yield from report.notes(f"{predicted}", f"{truth}", f"{kinds}")
        lone = [f"{name}{report.doubt(name)}" for name in self.only_predicted]
        near = ClassReport(unmatched=self.near_true)
        lone_true = [f"{name}{near.doubt(name)}" for name in self.only_true]
        for path, names, what in (
            (predicted, lone, "what they cover counts as missed"),
            (truth, lone_true, "where they occur, they count as missed"),
        ):
            if names:
                hint = "; --class-map FILE says which are the same" if lone and lone_true else ""
                yield f"{len(names)} classes are in {path} only ({listed(names)}); {what}{hint}"

    def _translated(self, said: PanopticMap, ids: Mapping[int, int]) -> PanopticMap:
        """Return the map in the words of this vocabulary: what is left out becomes unlabelled."""
        if all(s.category_id == ids.get(s.category_id) for s in said.segments):
            return said
        kept = [segment for segment in said.segments if segment.category_id in ids]
        pixels = said.ids
        if len(kept) < len(said.segments):
            known = [segment.id for segment in kept]
            pixels = np.where(np.isin(pixels, known), pixels, pixels.dtype.type(0))
        segments = (replace(s, category_id=ids[s.category_id], second=None) for s in kept)
        if len(set(ids.values())) == len(ids):
            return PanopticMap(pixels, tuple(segments))
        # Regions of two kinds of stuff that are one kind here are one segment.
        kinds = {category.id: category.is_thing for category in self.vocabulary.categories}
        merged = tuple(replace(s, is_thing=kinds[s.category_id]) for s in segments)
        return one_segment_per_stuff(PanopticMap(pixels, merged))


def match_vocabularies(
    predicted: Vocabulary,
    truth: Vocabulary,
    *,
    tells_kinds: bool = True,
    class_map: ClassMap | None = None,
) -> CommonVocabulary:
    """Return one vocabulary for both sets.

    The kinds are those of the truth, unless it has only one kind: some tools call all classes
    things, or all stuff.

    Args:
        tells_kinds: whether the truth knows things from stuff; class PNGs do not.
        class_map: names in the predictions -> names in the truth, or the other way round; None:
            pixels of that class count as unlabelled, in both sets.
    """
    reduced, true_ids, said = _apply_to_truth(predicted, truth, class_map or {})
    matches = match_classes(predicted, reduced, said)
    other_kinds = {
        matches.ids[category.id]: category.is_thing
        for category in reversed(predicted.categories)
        if category.id in matches.ids
    }
    of_truth = tells_kinds and (_has_both_kinds(truth) or not _has_both_kinds(predicted))
    categories = [
        c if of_truth else replace(c, is_thing=other_kinds.get(c.id, c.is_thing))
        for c in reduced.categories
    ]
    lone = [
        category
        for category in predicted.categories
        if category.id not in matches.ids and category.id not in matches.ignored
    ]
    free = max(category.id for category in truth.categories) + 1
    new_ids = {category.id: new_id for new_id, category in enumerate(lone, start=free)}
    categories += [replace(category, id=new_ids[category.id]) for category in lone]
    only_true = [c.name for c in reduced.categories if c.id not in matches.ids.values()]
    return CommonVocabulary(
        vocabulary=Vocabulary(truth.name, tuple(categories)),
        judged=frozenset(category.id for category in reduced.categories),
        predicted_ids={**matches.ids, **new_ids},
        true_ids=true_ids,
        only_predicted=tuple(category.name for category in lone),
        only_true=tuple(only_true),
        report=matches.report,
        near_true=candidates(only_true, predicted) if lone else {},
        kinds_of_truth=of_truth,
    )


def _apply_to_truth(
    predicted: Vocabulary, truth: Vocabulary, class_map: ClassMap
) -> tuple[Vocabulary, dict[int, int], dict[str, str | None]]:
    """Apply to the truth what a class map says about its names.

    Returns the classes that stay, id in the truth -> id among these, and the part of the map that
    is about names in the predictions.
    """
    theirs = {same_name(category.name): category for category in predicted.categories}
    ours = {same_name(category.name): category for category in truth.categories}
    said: dict[str, str | None] = {}
    ignored: set[int] = set()
    groups: dict[str, list[Category]] = defaultdict(list)  # name in the predictions -> classes
    for name, meant in class_map.items():
        key = same_name(name)
        if meant is None and key in ours:
            ignored.add(ours[key].id)
        if meant is not None and key in ours and same_name(meant) in theirs and key not in theirs:
            groups[same_name(meant)].append(ours[key])
        elif key in theirs or key not in ours:
            said[name] = meant
        elif meant is not None:
            raise FormatError(
                f"--class-map says {name!r} is {meant!r}, which is no class of {predicted.name}"
            )
    categories = {c.id: c for c in truth.categories if c.id not in ignored}
    true_ids = {id_: id_ for id_ in categories}
    for key, group in groups.items():
        # The class of that name in the truth, where it has one, else the first of the group.
        target = ours.get(key, group[0])
        target = target if target.id in categories else group[0]
        for category in group:
            true_ids[category.id] = target.id
            if category is not target:
                categories.pop(category.id, None)
        categories[target.id] = replace(categories[target.id], name=theirs[key].name)
        said[theirs[key].name] = theirs[key].name
    if not categories:
        raise FormatError(f"--class-map leaves out all classes of {truth.name}; keep one")
    return Vocabulary(truth.name, tuple(categories.values())), true_ids, said


def _has_both_kinds(vocabulary: Vocabulary) -> bool:
    return len({category.is_thing for category in vocabulary.categories}) == 2
