"""`panoptic.json` of a run folder, made of the journal one row at a time.

A row of the journal has a segment's facts nearly as COCO wants them. Where the vocabulary still is
the one that the row was written with, they are handed on as they are; else, as after a change of
words, the row is read with all its checks, which takes several times as long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from frozenseg_label.formats.coco_panoptic import segment_row, write_panoptic_rows
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import Labels
from frozenseg_label.runs.manifest import ClassTotals, Manifest, Totals
from frozenseg_label.vocabulary import Vocabulary

Row = dict[str, Any]  # as in the JSON


def write_panoptic_json(path: Path, journal: Journal, manifest: Manifest) -> Totals:
    """Write `panoptic.json`; returns what is in it.

    An image keeps its number as long as the journal lives. Images labelled with words that the
    vocabulary no longer has are left out.
    """
    vocabulary = manifest.vocabulary.vocabulary()
    counter = _Counter(vocabulary)

    def rows() -> Iterator[tuple[Row, Row]]:
        for number, (image, known) in enumerate(journal.known.items(), start=1):
            counter.failed += known.event == "failed"
            if known.file is None:
                continue
            said = _Said.quickly(journal.line(known.place), counter)
            if said is None:
                entry = journal.row(known.place)
                if entry.labels is None or entry.labels.current.lost_classes(vocabulary):
                    counter.outdated += 1
                    continue
                said = _Said.of(entry.labels, vocabulary)
            counter.add(said.segments)
            yield said.rows(number, image)

    info = {
        "description": f"frozenseg-label {manifest.tool_version}, weights {manifest.weights.name}",
        "date_created": manifest.updated.isoformat(),
        "run": manifest.fingerprint,
    }
    write_panoptic_rows(path, vocabulary, rows(), info)
    return counter.totals()


@dataclass(frozen=True)
class _Said:
    """What is said of an image, as in `Labels`; `segments` are entries of `segments_info`."""

    file: str
    width: int
    height: int
    state: str
    note: str
    segments: Sequence[Row]

    @classmethod
    def of(cls, labels: Labels, vocabulary: Vocabulary) -> Self:
        """Return what labels say in the words of a vocabulary that has all their classes."""
        segments = [segment_row(segment) for segment in labels.current.segments(vocabulary)]
        size = labels.width, labels.height
        return cls(labels.file, *size, labels.state, labels.note, segments)

    @classmethod
    def quickly(cls, line: bytes, words: "_Counter") -> Self | None:
        """Return what a row of the journal says; None where it has to be read with all checks."""
        try:
            labels: dict[str, Any] = msgspec.json.decode(line)["labels"]
            if not labels["current"]["names"].items() <= words.names.items():
                return None
            kinds = words.kinds
            segments = [
                stored
                | {"iscrowd": int(stored["iscrowd"]), "isthing": kinds[stored["category_id"]]}
                for stored in labels["current"]["segments_info"]
            ]
            size = labels["width"], labels["height"]
            return cls(labels["file"], *size, labels["state"], labels.get("note", ""), segments)
        except (msgspec.MsgspecError, LookupError, TypeError, AttributeError):
            return None  # of an earlier version, or with a file name that is no Unicode

    def rows(self, number: int, image: str) -> tuple[Row, Row]:
        """Return the image's entries of `images` and `annotations`."""
        size: Row = {"width": self.width, "height": self.height}
        annotation: Row = {
            "image_id": number,
            "file_name": self.file,
            "state": self.state,
            "segments_info": list(self.segments),
        }
        if self.note:
            annotation["note"] = self.note
        return {"id": number, "file_name": image} | size, annotation


class _Counter:
    """Adds up totals while images stream by."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.names = {f"{category.id}": category.name for category in vocabulary.categories}
        self.kinds = {category.id: int(category.is_thing) for category in vocabulary.categories}
        self.images = self.failed = self.outdated = self.segments = 0
        self.classes: dict[int, tuple[int, int, int]] = {}  # images, segments, pixels by id

    def add(self, segments: Sequence[Row]) -> None:
        """Count one labelled image."""
        self.images += 1
        self.segments += len(segments)
        seen = set()
        for segment in segments:
            category_id, area = segment["category_id"], segment["area"]
            images, count, pixels = self.classes.get(category_id, (0, 0, 0))
            self.classes[category_id] = (
                images + (category_id not in seen),
                count + 1,
                pixels + area,
            )
            seen.add(category_id)

    def totals(self) -> Totals:
        """Return what was counted."""
        classes = {}
        for category in self.vocabulary.categories:
            if category.id in self.classes:
                images, segments, pixels = self.classes[category.id]
                classes[category.name] = ClassTotals(
                    images=images, segments=segments, pixels=pixels
                )
        return Totals(
            images=self.images,
            failed=self.failed,
            outdated=self.outdated,
            segments=self.segments,
            classes=classes,
        )
