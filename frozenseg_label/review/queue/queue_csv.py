"""The review queue as a CSV file, for people who plan the work without the App."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from frozenseg_label.files import atomic_path
from frozenseg_label.review.queue.review_queue import QueuedImage
from frozenseg_label.vocabulary import Vocabulary

CSV_COLUMNS = (
    "rank", "image_rank", "image", "image_gain", "unlabelled", "segment", "class", "gain", "score",
    "margin", "second", "disagreement", "contested", "sam_disagreement", "area", "x", "y", "width",
    "height", "state", "changed", "note", "image_note",
)  # fmt: skip


def write_queue(path: Path, queue: Sequence[QueuedImage], vocabulary: Vocabulary) -> None:
    """Write the queue as CSV, a row per segment; an image without segments has one row."""
    # Names of files that are not Unicode stay the same bytes.
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.DictWriter(file, CSV_COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for rank, row in enumerate(_rows(queue, vocabulary), start=1):
            writer.writerow({"rank": rank, **row})


def _rows(queue: Iterable[QueuedImage], vocabulary: Vocabulary) -> Iterable[dict[str, object]]:
    for image_rank, queued in enumerate(queue, start=1):
        of_image = {
            "image_rank": image_rank,
            "image": queued.image,
            "image_gain": f"{queued.gain:.4f}",
            "unlabelled": f"{queued.unlabelled:.4f}",
            "image_note": queued.labels.note,
        }
        if not queued.segments:
            yield of_image
        for item in queued.segments:
            segment = item.segment
            second = None if segment.second is None else vocabulary.by_id(segment.second).name
            x, y, width, height = segment.bbox
            yield of_image | {
                "segment": segment.id,
                "class": vocabulary.by_id(segment.category_id).name,
                "gain": f"{item.gain:.4f}",
                "score": _number(segment.score),
                "margin": _number(segment.margin),
                "second": second,
                "disagreement": _number(segment.disagreement),
                "contested": _number(segment.contested),
                "sam_disagreement": _number(segment.sam_disagreement),
                "area": segment.area,
                "x": x,
                "y": y,
                "width": width,
                "height": height,
                "state": segment.state,
                "changed": int(item.changed),
                "note": segment.note,
            }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
