"""The labels of many scenes while a reviewer works through them: PQ, hours, memory, acceptance."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.evaluation.calibration import (
    Judged,
    JudgedSegments,
    cross_fitted,
    fit,
    own_classes,
    signals_of,
)
from frozenseg_label.evaluation.panoptic_quality import CategoryQuality, PanopticTally
from frozenseg_label.evaluation.precision_bound import search_threshold
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff
from frozenseg_label.inference.memory import Memory
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.review.queue.review_queue import image_gain, segment_gain
from frozenseg_label.runs.ownership import fuse
from frozenseg_label.vocabulary import Vocabulary
from recipes.nano.studying.calibration import judged_rows
from recipes.nano.studying.kept_scenes import KeptScene
from recipes.nano.studying.memory import words_of
from recipes.nano.studying.reviewer import Action, Costs, Eye, Reviewed, review
from recipes.nano.studying.spread import counts_of

Vectors = Mapping[int, NDArray[np.float16]]  # CLIP's, by segment id


@dataclass(frozen=True)
class Named:
    """What a model proposes for a scene: a map, and CLIP's vectors of its segments."""

    labels: PanopticMap
    vectors: Vectors


def name_scene(predictor: Predictor, scene: KeptScene) -> Named:
    """Return what the predictor, with its memory if it has one, proposes for a scene."""
    made = predictor.name_proposals(scene.proposals(predictor))
    return Named(made.panoptic, made.segment_embeddings)


@dataclass
class Labelling:
    """N scenes, what is proposed for them, and what the reviewer did so far.

    Attributes:
        scenes: with their truth.
        vocabulary: of all maps.
        named: what the model proposes now, N.
        curve: hours and PQ in per cent, from the start on.
        reviewed: what became of a scene, by its number.
        judged: the proposals that a review judged, by scene.
        accepted: segments that a machine accepted, and how many of them are right.
    """

    scenes: Sequence[KeptScene]
    vocabulary: Vocabulary
    named: list[Named]
    costs: Costs
    eye: Eye
    labels: list[PanopticMap] = field(init=False)
    actions: Counter[Action] = field(default_factory=Counter)
    curve: list[tuple[float, float]] = field(default_factory=list)
    reviewed: dict[int, Reviewed] = field(default_factory=dict)
    judged: dict[int, list[Judged]] = field(default_factory=dict)
    accepted: tuple[int, int] = (0, 0)
    _counts: NDArray[np.float64] = field(init=False)  # [N, K, 4]

    def __post_init__(self) -> None:
        self.labels = [one.labels for one in self.named]
        self._ids = [category.id for category in self.vocabulary.categories]
        true = {s.category_id for scene in self.scenes for s in scene.truth.segments}
        self._true = np.isin(self._ids, list(true))  # [K]
        self._counts = np.stack([self._count(number) for number in range(len(self.scenes))])
        self.note()

    @property
    def hours(self) -> float:
        """Return the reviewer's time so far."""
        return self.costs.of(self.actions) / 3600

    @property
    def pq(self) -> float:
        """Return PQ of all labels in per cent, the mean over the classes in the truth."""
        totals = self._counts.sum(axis=0)[self._true].tolist()
        return 100 * float(np.mean([CategoryQuality(*row).pq for row in totals]))

    @property
    def left(self) -> list[int]:
        """Return the numbers of the scenes in which something is still to be judged."""
        return [
            number
            for number, labels in enumerate(self.labels)
            if number not in self.reviewed
            and not (labels.segments and all(s.is_owned for s in labels.segments))
        ]

    def note(self) -> None:
        """Add a point to the curve."""
        self.curve.append((round(self.hours, 4), round(self.pq, 3)))

    def visit(self, numbers: Iterable[int]) -> None:
        """Review some scenes, one after the other."""
        for number in numbers:
            scene, before = self.scenes[number], self.labels[number]
            done = review(before, scene.truth, self.eye)
            self.actions.update(done.actions)
            self.judged[number] = list(judged_rows(number, before, done.labels))
            self.reviewed[number] = done
            self._put(number, done.labels)
            if len(self.reviewed) % 5 == 0:
                self.note()
        self.note()

    def queue(self) -> list[int]:
        """Return the scenes that are left, the one that promises most first."""
        counts = Counter(s.category_id for labels in self.labels for s in labels.segments)
        gains = {}
        for number in self.left:
            labels = self.labels[number]
            of_segments = [segment_gain(s, counts[s.category_id]) for s in labels.segments]
            gains[number] = image_gain(of_segments, float((labels.ids == 0).mean()))
        return sorted(gains, key=lambda number: (-gains[number], number))

    def accept(self, judges: Collection[int], target: float) -> None:
        """Accept by machine what scenes that were reviewed say is right; as `calibrate --accept`.

        Args:
            judges: reviewed scenes whose proposals were made like those of the scenes left.
            target: precision that is promised with 95 % confidence.
        """
        judged = JudgedSegments.of([row for number in judges for row in self.judged[number]])
        own = own_classes(judged)
        found = search_threshold(cross_fitted(judged, own), judged.right, target).passed
        if found is None:
            return
        calibrator, number_sure, number_right = fit(judged, own), 0, 0
        for number in self.left:
            labels = self.labels[number]
            if not labels.segments:
                continue
            said = calibrator.probabilities(
                [signals_of(segment, labels.ids.size) for segment in labels.segments],
                [segment.category_id for segment in labels.segments],
            )
            sure = (said >= found.probability).tolist()
            rows = judged_rows(number, labels, self.scenes[number].truth)
            number_sure += sum(sure)
            number_right += sum(one and row.right for one, row in zip(sure, rows, strict=True))
            segments = [
                replace(segment, state="accepted", accepted_by="calibrate") if one else segment
                for one, segment in zip(sure, labels.segments, strict=True)
            ]
            self.labels[number] = PanopticMap(labels.ids, tuple(segments))
        self.accepted = number_sure, number_right

    def name_again(self, predictor: Predictor, scenes: Mapping[int, KeptScene]) -> None:
        """Let the model name the scenes that are left, what a machine accepted stays.

        Args:
            scenes: with the proposals of the predictor's weights, by number.
        """
        for number in self.left:
            self.named[number] = name_scene(predictor, scenes[number])
            proposal, present = self.named[number].labels, self.labels[number]
            self._put(number, fuse(proposal, present, (), self.vocabulary))
        self.note()

    @torch.no_grad()
    def memory(self, predictor: Predictor) -> Memory:
        """Return what the reviewer named and drew so far, as `--memory` remembers it."""
        vectors, places, images = [], [], []
        for number, done in self.reviewed.items():
            scene = self.scenes[number]
            known = [(place, self.named[number].vectors.get(i)) for i, place in done.named.items()]
            for place, vector in [*known, *((place, None) for place in done.drawn)]:
                mine = scene.drawn[place] if vector is None else vector
                vectors.append(torch.from_numpy(mine).float())
                category_id = scene.truth.segments[place].category_id
                places.append(self.vocabulary.index_of(category_id))
                images.append(number)
        memory = Memory(torch.stack(vectors), torch.tensor(places))
        return memory.tuned(torch.tensor(images), words_of(predictor, memory.vectors))

    def _put(self, number: int, labels: PanopticMap) -> None:
        self.labels[number] = labels
        self._counts[number] = self._count(number)

    def _count(self, number: int) -> NDArray[np.float64]:
        tally = PanopticTally()
        tally.add(one_segment_per_stuff(self.labels[number]), self.scenes[number].truth)
        return counts_of(tally, self._ids)
