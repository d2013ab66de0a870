"""Pairs two sets of labels: the images that both have, and one vocabulary for both."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.common_vocabulary import CommonVocabulary, match_vocabularies
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff
from frozenseg_label.label_sets.class_map import ClassMap
from frozenseg_label.label_sets.label_set import LabelSet
from frozenseg_label.label_sets.match_names import NameMatches, match_names
from frozenseg_label.pages.report_image import existing
from frozenseg_label.panoptic import UNLABELLED, PanopticMap

_SHOWN_NAMES = 3


class PairedImage(NamedTuple):
    """Both maps of one image, with the category ids of the common vocabulary.

    The PNGs are those that hold the maps' ids; None where there is no such file. `left_out` counts
    the pixels of classes that the class map leaves out, in one of the sets or in both.
    """

    name: str
    predicted: PanopticMap
    truth: PanopticMap
    predicted_png: Path | None
    truth_png: Path | None
    left_out: int = 0


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

    @property
    def seen(self) -> frozenset[int] | None:
        """Return the common ids of the classes that the predictions' weights have seen, if known.

        A class that is missing in the predictions' vocabulary is not among them.
        """
        ids, seen = self.common.predicted_ids, self.predicted.seen
        return None if seen is None else frozenset(ids[id_] for id_ in seen if id_ in ids)

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
        known, true = self.common.predicted(predicted), self.common.true(truth)
        return PairedImage(
            name,
            known,
            true,
            predicted_png if known.ids is predicted.ids else None,
            truth_png if true.ids is truth.ids else None,
            _left_out((predicted, known), (truth, true)),
        )

    def picture(self, name: str) -> Path | None:
        """Return where the picture of an image is, as the predictions say, else the truth."""
        predicted = self.predicted.picture(self.predicted_names[name])
        return existing(predicted) or self.truth.picture(name)


def pair(predicted: LabelSet, truth: LabelSet, class_map: ClassMap | None = None) -> Pairing:
    """Pair two sets by the names of images and classes; FormatError if they share none.

    Where one set does not say what are things (class PNGs), the other does.

    Args:
        class_map: as of `match_vocabularies`.
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
        predicted.vocabulary,
        truth.vocabulary,
        tells_kinds=truth.tells_kinds,
        class_map=class_map,
    )
    if not common.judged & set(common.predicted_ids.values()):
        raise FormatError(
            f"no class is in both sets: {predicted.path} has "
            f"{_examples(tuple(c.name for c in predicted.vocabulary.categories))}, {truth.path} "
            f"has {_examples(tuple(c.name for c in truth.vocabulary.categories))}; classes are "
            "matched by their names; --class-map FILE says which of them are the same"
        )
    return Pairing(predicted, truth, common, images, predicted_names)


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


def _left_out(*changed: tuple[PanopticMap, PanopticMap]) -> int:
    """Return the number of pixels that had a label before and have none after, in any pair."""
    lost = [(b.ids != UNLABELLED) & (a.ids == UNLABELLED) for b, a in changed if a.ids is not b.ids]
    return int(np.count_nonzero(np.logical_or.reduce(lost))) if lost else 0


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
