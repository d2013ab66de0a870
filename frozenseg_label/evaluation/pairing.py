"""Pairs two sets of labels: the images that both have, and one vocabulary for both."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff
from frozenseg_label.label_sets.label_set import LabelSet
from frozenseg_label.label_sets.match_names import NameMatches, match_names
from frozenseg_label.pages.report_image import existing
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary, same_name

_SHOWN_NAMES = 3


class PairedImage(NamedTuple):
    """Both maps of one image, with the category ids of the common vocabulary.

    The PNGs are those that hold the maps' ids; None where there is no such file.
    """

    name: str
    predicted: PanopticMap
    truth: PanopticMap
    predicted_png: Path | None
    truth_png: Path | None


@dataclass(frozen=True)
class CommonVocabulary:
    """The classes of two sets, matched by name.

    Attributes:
        vocabulary: the classes of the truth as they are, then those only of the predictions.
        judged: ids of the classes of the truth. The others are never right: their segments do not
            count as spurious, but what they cover is missed.
        predicted_ids: id in the predictions -> id here.
        only_predicted, only_true: names of the classes that the other vocabulary does not have.
    """

    vocabulary: Vocabulary
    judged: frozenset[int]
    predicted_ids: dict[int, int]
    only_predicted: tuple[str, ...]
    only_true: tuple[str, ...]


@dataclass(frozen=True)
class Pairing:
    """The images that two sets have in common; iterating reads them one by one.

    Attributes:
        predicted, truth: the sets.
        common: their vocabularies, matched.
        images: names in the truth, in its order.
        predicted_names: the names that the same images have in the predictions.
    """

    predicted: LabelSet
    truth: LabelSet
    common: CommonVocabulary
    images: tuple[str, ...]
    predicted_names: Mapping[str, str]

    def __iter__(self) -> Iterator[PairedImage]:
        return (self.read(name) for name in self.images)

    def read(self, name: str) -> PairedImage:
        """Return both maps of one image; FormatError if their sizes differ."""
        other = self.predicted_names[name]
        predicted, predicted_png = _read(self.predicted, other)
        truth, truth_png = _read(self.truth, name)
        if predicted.ids.shape != truth.ids.shape:
            (height, width), (true_height, true_width) = predicted.ids.shape, truth.ids.shape
            raise FormatError(
                f"{name}: its labels are {width} x {height} in {self.predicted.path}, and "
                f"{true_width} x {true_height} in {self.truth.path}; labels of one image "
                "need one size: label it again"
            )
        ids = self.common.predicted_ids
        segments = tuple(
            replace(segment, category_id=ids[segment.category_id], second=None)
            for segment in predicted.segments
        )
        return PairedImage(
            name,
            replace(predicted, segments=segments),
            truth,
            predicted_png,
            truth_png,
        )

    def picture(self, name: str) -> Path | None:
        """Return where the picture of an image is, as the predictions say, else the truth."""
        predicted = self.predicted.picture(self.predicted_names[name])
        return existing(predicted) or self.truth.picture(name)


def pair(predicted: LabelSet, truth: LabelSet) -> Pairing:
    """Pair two sets by the names of images and classes; FormatError if they share none.

    Where one set does not say what are things (class PNGs), the other does.
    """
    matches = match_names(predicted.images, truth.images)
    _refuse_ambiguous(matches, predicted, truth)
    predicted_names = {here: there for there, here in matches.found.items()}
    images = tuple(name for name in truth.images if name in predicted_names)
    if not images:
        raise FormatError(
            f"no image is in both sets: {predicted.path} has {_examples(predicted.images)}, "
            f"{truth.path} has {_examples(truth.images)}; images are matched by their path, or by "
            "their file name where it is unique"
        )
    common = match_vocabularies(
        predicted.vocabulary, truth.vocabulary, kinds_of_truth=truth.has_segments
    )
    if not common.judged & set(common.predicted_ids.values()):
        raise FormatError(
            f"no class is in both sets: {predicted.path} has "
            f"{_examples(tuple(c.name for c in predicted.vocabulary.categories))}, {truth.path} "
            f"has {_examples(tuple(c.name for c in truth.vocabulary.categories))}; classes are "
            "matched by their names"
        )
    return Pairing(predicted, truth, common, images, predicted_names)


def match_vocabularies(
    predicted: Vocabulary, truth: Vocabulary, *, kinds_of_truth: bool = True
) -> CommonVocabulary:
    """Return one vocabulary for both sets.

    Args:
        kinds_of_truth: True: the truth says what is thing or stuff; False: the predictions do.
    """
    by_name = {same_name(category.name): category for category in predicted.categories}
    categories, predicted_ids = [], {}
    only_true = []
    for category in truth.categories:
        other = by_name.pop(same_name(category.name), None)
        if other is None:
            only_true.append(category.name)
        else:
            predicted_ids[other.id] = category.id
        is_thing = category.is_thing if kinds_of_truth or other is None else other.is_thing
        categories.append(replace(category, is_thing=is_thing))
    free = max(category.id for category in truth.categories) + 1
    for new_id, category in enumerate(by_name.values(), start=free):
        predicted_ids[category.id] = new_id
        categories.append(replace(category, id=new_id))
    return CommonVocabulary(
        vocabulary=Vocabulary(truth.name, tuple(categories)),
        judged=frozenset(category.id for category in truth.categories),
        predicted_ids=predicted_ids,
        only_predicted=tuple(category.name for category in by_name.values()),
        only_true=tuple(only_true),
    )


def _read(labels: LabelSet, name: str) -> tuple[PanopticMap, Path | None]:
    """Return the map of an image, and the PNG that has its ids; None where none has."""
    said = labels.read_map(name)
    if labels.form == "class-png":
        return said, None
    png = labels.labels_of(name).png
    if labels.form != "run":
        return said, png
    joined = one_segment_per_stuff(said)
    return joined, png if joined is said else None


def _refuse_ambiguous(matches: NameMatches, predicted: LabelSet, truth: LabelSet) -> None:
    """Raise FormatError where it is not clear which image of one set is which of the other."""
    for name, candidates in matches.ambiguous.items():
        meant = " or ".join(map(repr, candidates[:_SHOWN_NAMES]))
        raise FormatError(
            f"{name!r} of {predicted.path} may be {meant} of {truth.path}; use the same paths in "
            "both sets"
        )
    for name, claimants in matches.shared.items():
        raise FormatError(
            f"{' and '.join(map(repr, claimants[:_SHOWN_NAMES]))} of {predicted.path} are both "
            f"{name!r} of {truth.path}; remove one of them"
        )


def _examples(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    shown = ", ".join(reprlib.repr(name) for name in names[:_SHOWN_NAMES])
    return f"{shown}{', ...' if len(names) > _SHOWN_NAMES else ''}"
