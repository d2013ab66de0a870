"""Two sets of labels brought together: the same images, and one vocabulary for both."""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from frozenseg_label.errors import FormatError
from frozenseg_label.label_sets.label_set import LabelSet
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
        vocabulary: the classes of the truth as they are, then those of the predictions alone.
        judged: ids of the classes of the truth. The others can be right nowhere: segments of theirs
            are spurious to nobody, but what they cover is missed.
        predicted_ids: id in the predictions -> id here.
        only_predicted, only_true: names of the classes that the other set's vocabulary has not.
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
        images: names, in the order of the truth.
    """

    predicted: LabelSet
    truth: LabelSet
    common: CommonVocabulary
    images: tuple[str, ...]

    def __iter__(self) -> Iterator[PairedImage]:
        return (self.read(name) for name in self.images)

    def read(self, name: str) -> PairedImage:
        """Both maps of one image; FormatError where their sizes differ."""
        (predicted, predicted_png) = self.predicted.read(name)
        (truth, truth_png) = self.truth.read(name)
        if predicted.ids.shape != truth.ids.shape:
            (height, width), (true_height, true_width) = predicted.ids.shape, truth.ids.shape
            raise FormatError(
                f"{name}: its labels are {width} x {height} in {self.predicted.path}, and "
                f"{true_width} x {true_height} in {self.truth.path}; labels of one image have one "
                "size, so label it again"
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


def pair(predicted: LabelSet, truth: LabelSet) -> Pairing:
    """Bring two sets together by the names of images and classes; FormatError if they share none.

    Where one set does not say what are things (class PNGs), the other does.
    """
    predicted_images = set(predicted.images)
    images = tuple(name for name in truth.images if name in predicted_images)
    if not images:
        raise FormatError(
            f"no image is in both sets: {predicted.path} has {_examples(predicted.images)}, "
            f"{truth.path} has {_examples(truth.images)}; images are matched by their path and "
            "file name, with suffix"
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
    return Pairing(predicted, truth, common, images)


def match_vocabularies(
    predicted: Vocabulary, truth: Vocabulary, *, kinds_of_truth: bool = True
) -> CommonVocabulary:
    """One vocabulary for both sets.

    Args:
        kinds_of_truth: the truth knows things from stuff; False: the predictions do.
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


def _examples(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    shown = ", ".join(reprlib.repr(name) for name in names[:_SHOWN_NAMES])
    return f"{shown}{', ...' if len(names) > _SHOWN_NAMES else ''}"
