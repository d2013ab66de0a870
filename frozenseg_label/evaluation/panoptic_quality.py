"""Panoptic quality (Kirillov et al. 2019, arXiv 1801.00868), counted as panopticapi counts it.

PQ = SQ x RQ: the mean IoU of the segments that found their partner, times the F1 score of finding
one. All figures here are shares, 0..1. They are counted twice: here, and by hotcoco, whose figures
are reported. Both are tested against panopticapi's on a saved set.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from frozenseg_label.evaluation.segment_overlap import SegmentOverlap, overlap_of
from frozenseg_label.formats.coco_panoptic import categories_of, segment_row, write_panoptic_png
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary

TOLERANCE = 1e-9  # on every share; both counts add up the same integers, in another order
IMAGES_AT_A_TIME = 200  # that hotcoco counts; it keeps all segments of its files in memory


@dataclass(frozen=True)
class CategoryQuality:
    """The counts of one class.

    Attributes:
        iou_sum: of the pairs.
        true_positives: pairs, one predicted and one true segment each.
        false_positives, false_negatives: predicted and true segments without a partner.
    """

    iou_sum: float = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: "CategoryQuality") -> "CategoryQuality":
        return CategoryQuality(
            self.iou_sum + other.iou_sum,
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def occurs(self) -> bool:
        """Return whether the class occurs at all."""
        return self.true_positives + self.false_positives + self.false_negatives > 0

    @property
    def pq(self) -> float:
        """Return panoptic quality; 0 if nothing was paired."""
        return self.sq * self.rq

    @property
    def sq(self) -> float:
        """Return segmentation quality, the mean IoU of the pairs; 0 if nothing was paired."""
        return self.iou_sum / self.true_positives if self.true_positives else 0.0

    @property
    def rq(self) -> float:
        """Return recognition quality, the F1 score of finding segments; 0 if nothing was paired."""
        unpaired = self.false_positives + self.false_negatives
        return self.true_positives / (self.true_positives + 0.5 * unpaired) if self.occurs else 0.0


class MeanQuality(NamedTuple):
    """Means over classes; each class counts the same.

    Attributes:
        pq, sq, rq: 0..1; 0 where there is no class. SQ and RQ are means of their own: their
            product is not PQ.
        categories: number of classes that they are means over.
    """

    pq: float
    sq: float
    rq: float
    categories: int


def mean_quality(
    categories: Mapping[int, CategoryQuality], category_ids: Collection[int] | None = None
) -> MeanQuality:
    """Return the mean over the classes that occur and, where given, are in `category_ids`.

    A class that occurs only in predictions counts with 0, as in panopticapi.
    """
    wanted = [
        quality
        for category_id, quality in sorted(categories.items())
        if quality.occurs and (category_ids is None or category_id in category_ids)
    ]
    count = len(wanted)
    if not count:
        return MeanQuality(0.0, 0.0, 0.0, 0)
    pq, sq, rq = (sum(getattr(q, name) for q in wanted) / count for name in ("pq", "sq", "rq"))
    return MeanQuality(pq, sq, rq, count)


@dataclass
class PanopticTally:
    """Counts image by image; keeps four numbers for each class."""

    _counts: dict[int, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0] * 4))

    def add(self, predicted: PanopticMap, truth: PanopticMap) -> None:
        """Count one image: two maps of one size, with category ids of one vocabulary.

        Pixels without a label in the truth do not count, nor do crowds.
        """
        self.add_overlap(overlap_of(predicted, truth))

    def add_overlap(self, overlap: SegmentOverlap) -> None:
        """Count one image whose overlaps are known already."""
        for pair in overlap.pairs:
            of_class = self._counts[overlap.truth[pair.true].category_id]
            of_class[0] += pair.iou
            of_class[1] += 1
        for place in overlap.spurious:
            self._counts[overlap.predicted[place].category_id][2] += 1
        for place in overlap.missed:
            self._counts[overlap.truth[place].category_id][3] += 1

    @property
    def categories(self) -> dict[int, CategoryQuality]:
        """Return the counts so far by category id, for the classes that occur."""
        return {
            category_id: CategoryQuality(iou, int(paired), int(spurious), int(missed))
            for category_id, (iou, paired, spurious, missed) in sorted(self._counts.items())
        }

    def mean(self, category_ids: Collection[int] | None = None) -> MeanQuality:
        """Return `mean_quality` of the categories."""
        return mean_quality(self.categories, category_ids)


class HotcocoQuality:
    """Collects images, and lets hotcoco read some hundred of them at a time from disk and count."""

    def __init__(self, vocabulary: Vocabulary, folder: Path) -> None:
        """Start with the vocabulary of all maps, and an empty temporary folder."""
        self._vocabulary = vocabulary
        self._folder = folder
        self._rows: dict[str, list[JsonValue]] = {"predicted": [], "truth": []}
        self._counted: dict[int, CategoryQuality] = {}

    def add(
        self,
        predicted: tuple[PanopticMap, Path | None],
        truth: tuple[PanopticMap, Path | None],
    ) -> None:
        """Add an image: its maps, and the PNGs with their ids or None if there are none."""
        if len(self._rows["truth"]) == IMAGES_AT_A_TIME:
            self._count()
        number = len(self._rows["truth"]) + 1
        for side, (panoptic_map, png) in (("predicted", predicted), ("truth", truth)):
            if png is None or not _is_unicode(png.absolute()):
                png = self._folder / side / f"{number}.png"
                write_panoptic_png(png, panoptic_map.ids)
            self._rows[side].append(
                {
                    "image_id": number,
                    "file_name": str(png.absolute()),
                    "segments_info": [segment_row(segment) for segment in panoptic_map.segments],
                }
            )

    def categories(self) -> dict[int, CategoryQuality]:
        """Return hotcoco's counts by category id, for the classes that occur."""
        self._count()
        return dict(sorted(self._counted.items()))

    def _count(self) -> None:
        """Count the images that are waiting."""
        from hotcoco.panoptic import PanopticEval  # not pq_compute, which prints

        images: list[JsonValue] = [
            {"id": number} for number in range(1, len(self._rows["truth"]) + 1)
        ]
        for side, rows in self._rows.items():
            document: dict[str, JsonValue] = {
                "categories": categories_of(self._vocabulary),
                "images": images,
                "annotations": rows,
            }
            (self._folder / f"{side}.json").write_text(json.dumps(document))
        evaluation = PanopticEval(
            self._folder / "truth.json",
            self._folder / "predicted.json",
            gt_folder=self._folder,  # not used: file names are absolute
            pred_folder=self._folder,
        )
        evaluation.evaluate()
        for category_id, row in evaluation.results()["per_class"].items():
            found = CategoryQuality(row["iou"], row["tp"], row["fp"], row["fn"])
            if found.occurs:
                before = self._counted.get(int(category_id), CategoryQuality())
                self._counted[int(category_id)] = before + found
        for side, rows in self._rows.items():
            rows.clear()
            shutil.rmtree(self._folder / side, ignore_errors=True)  # PNGs that were made for it


def _is_unicode(path: Path) -> bool:
    """Return whether other programs can read the path from JSON."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def differences(
    some: Mapping[int, CategoryQuality], others: Mapping[int, CategoryQuality]
) -> list[int]:
    """Return the ids of the categories whose two counts differ."""
    nothing = CategoryQuality()
    return [
        category_id
        for category_id in sorted(some.keys() | others.keys())
        if not _agree(some.get(category_id, nothing), others.get(category_id, nothing))
    ]


def _agree(one: CategoryQuality, other: CategoryQuality) -> bool:
    return all(
        abs(getattr(one, name) - getattr(other, name)) <= TOLERANCE for name in ("pq", "sq", "rq")
    )
