"""Panoptic quality once more, by hotcoco: what is reported, with our own count as its check."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from frozenseg_label.evaluation.panoptic_quality import CategoryQuality
from frozenseg_label.formats.coco_panoptic import categories_of, segment_row, write_panoptic_png
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary

TOLERANCE = 1e-9  # on every share; both add up the same integers, in another order


class HotcocoQuality:
    """Collects images, then lets hotcoco read them from disk and count.

    Keeps the list of segments of each image, and no pixels.
    """

    def __init__(self, vocabulary: Vocabulary, folder: Path) -> None:
        """Begin; the vocabulary is that of all maps, the folder a temporary one, empty."""
        self._vocabulary = vocabulary
        self._folder = folder
        self._rows: dict[str, list[JsonValue]] = {"predicted": [], "truth": []}

    def add(
        self,
        predicted: tuple[PanopticMap, Path | None],
        truth: tuple[PanopticMap, Path | None],
    ) -> None:
        """Add an image: maps, and the PNGs that hold their ids; None: there is no such file."""
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
        """What hotcoco counted, by category id; classes that did not occur are not in it."""
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
            gt_folder=self._folder,  # file names are absolute: they do not care
            pred_folder=self._folder,
        )
        evaluation.evaluate()
        qualities = {
            int(category_id): CategoryQuality(row["iou"], row["tp"], row["fp"], row["fn"])
            for category_id, row in evaluation.results()["per_class"].items()
        }
        return {
            category_id: quality for category_id, quality in qualities.items() if quality.occurs
        }


def _is_unicode(path: Path) -> bool:
    """Whether JSON can say the path so that other programs understand it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def differences(
    some: Mapping[int, CategoryQuality], others: Mapping[int, CategoryQuality]
) -> list[int]:
    """Ids of the categories that two counts do not agree on."""
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
